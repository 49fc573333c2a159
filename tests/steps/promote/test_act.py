"""The promote step on a real ledger and a real MLflow: every ending, run twice, and two at once."""

from pathlib import Path

import pytest

from steps.common import registry
from steps.common.settings import Settings
from steps.common.step import DONE, FAILED, FENCED, NOTHING_TO_DO, RETRY
from steps.common.store import models
from steps.common.tracking import Tracking, pipeline_run
from tests.steps.deployment import Deployment, change_a_byte
from tests.steps.promote.evidence import evidence
from tests.steps.promote.stages import (
    SAME,
    WORSE,
    evaluated,
    everything,
    in_production,
    measure,
    outcome,
    run,
    sentence,
    verdict,
)

pytestmark = pytest.mark.usefixtures("led_here")


def test_the_first_model_is_promoted_and_everybody_is_told(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    first = evaluated(deployment, "r1", 0, None)
    assert run("r1") == DONE
    assert deployment.aliases() == (first.version, None)
    assert outcome(deployment, first.claim) == "PROMOTE"
    assert [event.kind for event in deployment.events()] == ["PROMOTE_INTENT", "ALIAS_SET"]
    told = deployment.tracking.get_run(pipeline_run(deployment.tracking, first.claim))
    assert told.info.status == "FINISHED"
    assert told.data.tags["appraiser.promote.verdict"] == "PROMOTE"
    assert "This is the first model" in told.data.tags["appraiser.promote.reasons"]
    block = capsys.readouterr().out.split("─" * 78)[-2]
    assert "promote · batch 0 · attempt 1 · run r1" in block
    assert "This is the first model" in block
    assert block.rstrip().endswith("exit code 0")


@pytest.mark.parametrize(("rmse", "expected"), [(SAME, "HOLD"), (WORSE, "REJECT")])
def test_what_is_not_better_ends_the_run_and_leaves_the_alias(
    deployment: Deployment, rmse: tuple[float, float], expected: str
) -> None:
    first = in_production(deployment)
    second = evaluated(deployment, "r2", 1, first.version, rmse)
    before = deployment.events()
    assert run("r2") == NOTHING_TO_DO
    assert outcome(deployment, second.claim) == expected
    assert deployment.aliases() == (first.version, None)
    assert deployment.events() == before


def test_a_finished_run_run_again_changes_nothing(deployment: Deployment) -> None:
    first = evaluated(deployment, "r1", 0, None)
    assert run("r1") == DONE
    second = evaluated(deployment, "r2", 1, first.version)
    assert run("r2") == DONE
    evaluated(deployment, "r3", 2, second.version, SAME)
    assert run("r3") == NOTHING_TO_DO
    before = everything(deployment)
    # Also the one whose version another has replaced since.
    assert (run("r1"), run("r2"), run("r3")) == (DONE, DONE, NOTHING_TO_DO)
    assert everything(deployment) == before


def test_two_processes_of_one_run_promote_once(deployment: Deployment) -> None:
    first = in_production(deployment)
    second = evaluated(deployment, "r2", 1, first.version)
    both = [deployment.start("promote", "--run-id", "r2") for _ in range(2)]
    assert [one.wait(300) for one in both] == [DONE, DONE]
    outputs = [one.communicate()[0] for one in both]
    assert deployment.aliases() == (second.version, first.version)
    assert [event.kind for event in deployment.events()] == ["PROMOTE_INTENT", "ALIAS_SET"] * 2
    assert sum("done before" in output for output in outputs) == 1


def test_of_two_promoters_at_once_one_finds_the_champion_changed(deployment: Deployment) -> None:
    first = in_production(deployment)
    second, third = (evaluated(deployment, f"r{batch}", batch, first.version) for batch in (1, 2))
    both = [deployment.start("promote", "--run-id", ready.run_id) for ready in (second, third)]
    codes = [one.wait(300) for one in both]
    for one in both:
        one.communicate()
    assert sorted(codes) == [DONE, NOTHING_TO_DO]
    winner, loser = (second, third) if codes[0] == DONE else (third, second)
    assert deployment.aliases() == (winner.version, first.version)
    assert (outcome(deployment, winner.claim), outcome(deployment, loser.claim)) == ("PROMOTE", None)
    assert f"The champion is version {winner.version} now" in sentence(deployment, loser)


def test_a_champion_changed_since_evaluate_is_stale_and_the_batch_stays_unfinished(deployment: Deployment) -> None:
    first = in_production(deployment)
    second, third = (evaluated(deployment, f"r{batch}", batch, first.version) for batch in (1, 2))
    deployment.set_alias(third.version)
    assert run("r1") == NOTHING_TO_DO
    stale = verdict(deployment, second.claim)
    assert stale is not None
    assert stale.verdict == "STALE"
    assert outcome(deployment, second.claim) is None
    assert deployment.aliases()[0] == third.version
    assert deployment.claim("again", 1).attempt == 2


def test_a_stale_batch_measured_anew_is_decided(deployment: Deployment) -> None:
    first = in_production(deployment)
    second, third = (evaluated(deployment, f"r{batch}", batch, first.version) for batch in (1, 2))
    assert run(third.run_id) == DONE
    assert run(second.run_id) == NOTHING_TO_DO
    again = deployment.claim("again", 1, done="train", adopting=second.claim)
    found = evidence(51_000, 52_000, candidate_version=second.version, champion_version=third.version)
    measure(deployment, again, second.version, third.version, found)
    assert run("again") == DONE
    assert deployment.aliases() == (second.version, third.version)
    assert outcome(deployment, again) == "PROMOTE"


def test_previous_stands_in_for_a_champion_that_was_deleted(deployment: Deployment) -> None:
    first = in_production(deployment)
    second = evaluated(deployment, "r2", 1, first.version)
    assert run("r2") == DONE
    deployment.tracking.delete_model_version(registry.MODEL, str(second.version))
    third = evaluated(deployment, "r3", 2, first.version)
    assert run("r3") == DONE
    assert deployment.aliases() == (third.version, first.version)
    assert [alert["code"] for alert in deployment.rows("alerts")] == ["ALIAS_LOST"]


def test_with_no_champion_to_be_found_nothing_is_promoted(deployment: Deployment) -> None:
    first = in_production(deployment)
    second = evaluated(deployment, "r2", 1, first.version)
    deployment.tracking.delete_model_version(registry.MODEL, str(first.version))
    assert run("r2") == FAILED
    assert deployment.aliases() == (None, None)
    assert verdict(deployment, second.claim) is None
    assert [alert["code"] for alert in deployment.rows("alerts")] == ["ALIAS_LOST"]


def test_a_first_model_measured_before_another_was_promoted_is_stale(deployment: Deployment) -> None:
    first, second = (evaluated(deployment, f"r{batch}", batch, None) for batch in (0, 1))
    assert (run("r0"), run("r1")) == (DONE, NOTHING_TO_DO)
    assert deployment.aliases() == (first.version, None)
    assert outcome(deployment, second.claim) is None


@pytest.mark.parametrize("spoil", [change_a_byte, Path.unlink])
def test_a_candidate_whose_file_is_not_trainings_is_not_promoted(
    deployment: Deployment, spoil: object, capsys: pytest.CaptureFixture[str]
) -> None:
    first = in_production(deployment)
    second = evaluated(deployment, "r2", 1, first.version)
    assert callable(spoil)
    spoil(deployment.stored(second.version, "model.bin"))
    before = everything(deployment)
    assert run("r2") == FAILED
    assert everything(deployment) == before
    assert "FileBroken" in capsys.readouterr().out


def test_a_candidate_deleted_in_mlflow_is_not_promoted(deployment: Deployment) -> None:
    first = in_production(deployment)
    second = evaluated(deployment, "r2", 1, first.version)
    deployment.tracking.delete_model_version(registry.MODEL, str(second.version))
    assert run("r2") == NOTHING_TO_DO
    assert sentence(deployment, second) == f"MLflow has no version {second.version} of house-price any more."
    assert deployment.aliases() == (first.version, None)


def test_an_earlier_attempt_moves_nothing(deployment: Deployment) -> None:
    first = in_production(deployment)
    evaluated(deployment, "r2", 1, first.version)
    deployment.claim("r3", 1)
    before = everything(deployment)
    assert run("r2") == FENCED
    assert everything(deployment) == before


def test_evidence_that_is_not_what_was_measured_is_refused(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    claim = deployment.claim("r1", 0, done="tune")
    version = deployment.version(claim)
    deployment.complete(claim, "train")
    with deployment.ledger.begin() as connection:
        forged = models.Evidence(claim.claim_id, 0, version, "0" * 64, evidence(52_000, None))
        models.append_evidence(connection, forged)
    deployment.complete(claim, "evaluate", "0" * 64, {"champion_version": None})
    assert run("r1") == FAILED
    assert "its sha256 differs" in capsys.readouterr().out
    assert deployment.aliases() == (None, None)


def test_a_policy_with_a_fault_is_refused_before_anything_is_done(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluated(deployment, "r1", 0, None)
    monkeypatch.setenv("APPRAISER_PROMOTE_POLICY", '{"confidense": 0.9}')
    assert run("r1") == FAILED
    assert "APPRAISER_PROMOTE_POLICY: confidense" in capsys.readouterr().out
    assert deployment.events() == []


def test_the_literal_rule_can_be_asked_for(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    first = in_production(deployment)
    evaluated(deployment, "r2", 1, first.version, (54_999.0, 55_000.0))
    monkeypatch.setenv("APPRAISER_PROMOTE_POLICY", '{"confidence": 0}')
    assert run("r2") == DONE


def test_mlflow_down_is_a_sentence_and_another_try(
    deployment: Deployment, free_port: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated(deployment, "r1", 0, None)
    monkeypatch.setenv("APPRAISER_MLFLOW_URL", f"http://127.0.0.1:{free_port}")
    assert run("r1") == RETRY
    printed = capsys.readouterr().out
    assert f"APPRAISER_MLFLOW_URL: no answer from http://127.0.0.1:{free_port}" in printed
    assert "Traceback" not in printed
    assert deployment.events() == []


def test_a_ledger_that_is_down_is_a_sentence_and_another_try(
    free_port: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APPRAISER_LEDGER_URL", f"postgresql+psycopg://pipeline:x@127.0.0.1:{free_port}/ledger")
    assert run("r1") == RETRY
    printed = capsys.readouterr().out
    assert f"APPRAISER_LEDGER_URL: no answer from 127.0.0.1:{free_port}/ledger" in printed
    assert "Traceback" not in printed


def test_a_run_that_was_not_evaluated_is_refused(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    deployment.claim("r1", 0, done="train")
    assert (run("r1"), run("nobody")) == (FAILED, FAILED)
    printed = capsys.readouterr().out
    assert "evaluate has not completed for run r1" in printed
    assert "run nobody has no claim" in printed


def test_tracking_made_twice_is_of_one_address(deployment: Deployment) -> None:
    assert Tracking(Settings(mlflow_url=f"{deployment.mlflow.url}/")).address == deployment.tracking.address
