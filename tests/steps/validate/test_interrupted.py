"""Validate killed, doubled, run again, taken over, and with its neighbours down."""

import ast
import re
from dataclasses import dataclass
from typing import Any

import pytest

from steps.common import tracking
from steps.common.step import DONE, FAILED, FENCED, RETRY
from steps.common.store import ledger
from steps.common.store.ledger import Claim
from steps.common.tracking import nested_run, pipeline_run
from tests.servers import ROOT, free_loopback_port
from tests.steps.batches import changed, claimed, fetched, rows, store, times
from tests.steps.deployment import SOURCE, Deployment
from tests.steps.validate.stages import in_production, left, told, validate, verdict

_text = (ROOT / "steps/validate/__main__.py").read_text()
_stated = re.search(r"Commit boundaries: ([a-z_, \n]+)\.", ast.get_docstring(ast.parse(_text)) or "")
assert _stated
BOUNDARIES = [name.strip() for name in _stated[1].split(",")]
BEFORE = rows(1200)
ANOTHER_LEVEL = changed(rows(1200, seed=1), price=times(2))
# How long an undisturbed run takes at most where nothing else runs.
_LONGEST = 6.0

pytestmark = pytest.mark.usefixtures("led_here")


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


@dataclass
class Interrupted:
    """A batch that another price level sets apart from the champion's, fetched and waiting for its verdict."""

    deployment: Deployment
    claim: Claim

    def run_again(self) -> None:
        """Run the step twice; it must end as if it had never been killed, and the second time change nothing."""
        assert validate("r") == DONE
        once = left(self.deployment, self.claim)
        assert validate("r") == DONE
        assert left(self.deployment, self.claim) == once
        found = verdict(self.deployment, self.claim)
        # As if never killed: the same batch again, under a number of its own.
        undisturbed = fetched(self.deployment, "undisturbed", 2, ANOTHER_LEVEL)
        assert validate("undisturbed") == DONE
        again = verdict(self.deployment, undisturbed)
        assert (found.verdict, found.reasons, found.policy) == (again.verdict, again.reasons, again.policy)
        assert {**found.report, "batch": 2} == again.report


@pytest.fixture
def interrupted(led_here: Deployment) -> Interrupted:
    in_production(led_here, BEFORE)
    return Interrupted(led_here, fetched(led_here, "r", 1, ANOTHER_LEVEL))


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_killed_and_run_again(interrupted: Interrupted, boundary: str) -> None:
    killed = interrupted.deployment.run("validate", "--run-id", "r", killed_at=boundary)
    assert killed.returncode == -9, killed.stdout
    interrupted.run_again()


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.faults) for seed in range(3, 23))])
def test_killed_at_a_random_moment_and_run_again(interrupted: Interrupted, seed: int) -> None:
    interrupted.deployment.kill_at_a_moment("validate", seed, _LONGEST, "--run-id", "r")
    interrupted.run_again()


def test_two_at_once_give_one_verdict(deployment: Deployment) -> None:
    in_production(deployment, BEFORE)
    claim = fetched(deployment, "r", 1, rows(1200, seed=1))
    both = [deployment.start("validate", "--run-id", "r") for _ in range(2)]
    ended = [process.communicate(timeout=240)[0] for process in both]
    assert [process.returncode for process in both] == [DONE, DONE], ended
    assert sum("nothing repeated" in one for one in ended) == 1
    assert [row["verdict"] for row in deployment.rows("verdicts") if row["claim_id"] == claim.claim_id] == ["SKIP"]
    runs = deployment.tracking.search_runs([deployment.tracking.get_experiment_by_name("house-price").experiment_id])
    assert sum(run.data.tags.get("appraiser.run_id") == "r" for run in runs) == 1


def test_a_quarantine_run_again_stays_one(deployment: Deployment) -> None:
    claim = fetched(deployment, "r", 0, rows(50, bed="444.0"))
    assert validate("r") == FAILED
    once = left(deployment, claim)
    assert validate("r") == FAILED
    assert left(deployment, claim) == once
    assert len(deployment.rows("alerts")) == 1


def test_the_next_attempt_adopts_the_verdict_and_fences_off_this_one(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    first = fetched(deployment, "r", 0, BEFORE)
    assert validate("r") == DONE
    second = deployment.claim("r2", 0, done="fetch", adopting=first)
    assert validate("r2") == DONE
    assert "adopted from an earlier attempt" in said(capsys)
    assert len(deployment.rows("verdicts")) == 1
    assert verdict(deployment, second) == verdict(deployment, first)
    deployment.claim("r3", 0, done="fetch", adopting=first)
    late = fetched(deployment, "late", 1, rows(300, seed=1))
    claimed(deployment, "later", 1)
    assert validate("late") == FENCED
    assert late.claim_id not in {row["claim_id"] for row in deployment.rows("dataset_batches")}


@pytest.mark.parametrize(("count", "verdict_", "status"), [(0, "TRAIN", "RUNNING"), (1, "SKIP", "FINISHED")])
def test_an_adopted_verdict_is_told_in_a_run_of_its_own(
    deployment: Deployment, count: int, verdict_: str, status: str
) -> None:
    if count:
        in_production(deployment, BEFORE)
    first = fetched(deployment, "r", count, rows(1200, seed=count))
    assert validate("r") == DONE
    second = deployment.claim("r2", count, done="fetch", adopting=first)
    killed = deployment.run("validate", "--run-id", "r2", killed_at="told")
    assert killed.returncode == -9, killed.stdout
    assert [row["claim_id"] for row in deployment.rows("verdicts")][-1] == first.claim_id
    third = deployment.claim("r3", count, done="fetch", adopting=first)
    assert validate("r3") == DONE
    runs = [told(deployment, claim) for claim in (first, second, third)]
    # Those overtaken are ended, one that had said its last is left as it was.
    overtaken = "KILLED" if status == "RUNNING" else "FINISHED"
    assert [run.info.status for run in runs] == [overtaken, overtaken, status]
    given, *adopted = [tags_of(run) for run in runs]
    assert given["appraiser.validate.verdict"] == verdict_
    assert adopted == [{**given, "appraiser.validate.adopted_from": "r"}] * 2


def tags_of(run: Any) -> dict[str, str]:
    """Return what validate has told of a run."""
    return {name: value for name, value in run.data.tags.items() if name.startswith("appraiser.validate.")}


def test_a_verdict_given_anew_ends_the_run_that_was_overtaken(deployment: Deployment) -> None:
    first = fetched(deployment, "r", 0, BEFORE)
    assert deployment.run("validate", "--run-id", "r", killed_at="told").returncode == -9
    second = deployment.claim("r2", 0, done="fetch", adopting=first)
    assert validate("r2") == DONE
    assert [told(deployment, claim).info.status for claim in (first, second)] == ["KILLED", "RUNNING"]
    assert "appraiser.validate.adopted_from" not in tags_of(told(deployment, second))


def test_the_run_of_a_batch_given_up_is_ended_with_what_became_of_it(deployment: Deployment) -> None:
    first = fetched(deployment, "r", 0, BEFORE)
    assert validate("r") == DONE
    with deployment.ledger.begin() as connection:
        assert ledger.abandon(connection, first)
    fetched(deployment, "r2", 1, rows(1200, seed=1))
    assert validate("r2") == DONE
    given_up = told(deployment, first)
    assert (given_up.info.status, given_up.data.tags["appraiser.outcome"]) == ("KILLED", "ABANDONED")


def test_sweeps_and_fits_below_a_run_that_was_overtaken_are_ended_with_it(deployment: Deployment) -> None:
    first = fetched(deployment, "r", 0, BEFORE)
    other = fetched(deployment, "other", 1, rows(300, seed=1))
    sweep, theirs = (
        nested_run(deployment.tracking, pipeline_run(deployment.tracking, claim), "tune", "tune")
        for claim in (first, other)
    )
    trial, done = (nested_run(deployment.tracking, sweep, key, key) for key in ("trial 7", "trial 6"))
    deployment.tracking.set_terminated(done, "FINISHED")
    deployment.claim("r2", 0, done="fetch", adopting=first)
    assert validate("r2") == DONE
    ended = [deployment.tracking.get_run(run).info.status for run in (sweep, trial, done, theirs)]
    assert ended == ["KILLED", "KILLED", "FINISHED", "RUNNING"]
    assert told(deployment, first).info.status == "KILLED"


def test_of_too_many_open_runs_the_newest_are_looked_at(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "_OPEN_RUNS", 1)
    for run, number in (("other", 1), ("r", 0)):
        claim = fetched(deployment, run, number, rows(300, seed=number))
        pipeline_run(deployment.tracking, claim)
    deployment.claim("r2", 0, done="fetch", adopting=claim)
    assert validate("r2") == DONE
    assert told(deployment, claim).info.status == "KILLED"


def test_nothing_is_adopted_while_mlflow_is_down(deployment: Deployment) -> None:
    first = fetched(deployment, "r", 0, rows(300))
    assert validate("r") == DONE
    second = deployment.claim("r2", 0, done="fetch", adopting=first)
    address = f"http://127.0.0.1:{free_loopback_port()}"
    ended = deployment.run("validate", "--run-id", "r2", APPRAISER_MLFLOW_URL=address)
    assert ended.returncode == RETRY, ended.stdout
    assert {row["claim_id"] for row in deployment.rows("completions") if row["step"] == "validate"} == {first.claim_id}
    assert validate("r2") == DONE
    assert told(deployment, second).data.tags["appraiser.validate.adopted_from"] == "r"


def test_a_verdict_under_another_scope_stays_but_is_not_adopted(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = fetched(deployment, "r", 0, BEFORE)
    with monkeypatch.context() as patched:
        patched.setattr("steps.validate.__main__.SCOPE_VERSION", "scope_v0")
        assert validate("r") == DONE
    once = left(deployment, first)
    assert validate("r") == DONE
    assert "this step was done before" in said(capsys)
    assert left(deployment, first) == once
    second = deployment.claim("r2", 0, done="fetch", adopting=first)
    assert validate("r2") == DONE
    assert "adopted" not in said(capsys)
    assert [row["claim_id"] for row in deployment.rows("verdicts")] == [first.claim_id, second.claim_id]


def test_no_fetch_no_verdict(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    store(deployment, 0, BEFORE)
    deployment.claim("r", 0)
    assert validate("r") == FAILED
    assert "fetch has not completed for run r" in said(capsys)


def test_half_a_batch_is_refused(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    store(deployment, 0, BEFORE, count=5)
    claimed(deployment, "r", 0)
    assert validate("r") == FAILED
    assert "RAW has 1200 rows of batch 0; it was stored with 5" in said(capsys)


def test_mlflow_down_is_named_before_anything_is_decided(deployment: Deployment) -> None:
    fetched(deployment, "r", 0, BEFORE)
    address = f"http://127.0.0.1:{free_loopback_port()}"
    ended = deployment.run("validate", "--run-id", "r", APPRAISER_MLFLOW_URL=address)
    assert ended.returncode == RETRY
    printed = " ".join(ended.stdout.split())
    assert f"APPRAISER_MLFLOW_URL: no answer from {address}" in printed
    assert "Traceback" not in ended.stdout + ended.stderr
    assert deployment.rows("verdicts") == deployment.rows("dataset_batches") == []
    assert validate("r") == DONE


@pytest.mark.parametrize("database", ["raw", "clean", "ledger"])
def test_a_database_that_is_not_there_is_named(deployment: Deployment, database: str) -> None:
    in_production(deployment, BEFORE)
    fetched(deployment, "r", 1, rows(1200, seed=1))
    url = re.sub(r":\d+/", f":{free_loopback_port()}/", deployment.databases.url(database))
    ended = deployment.run("validate", "--run-id", "r", **{f"APPRAISER_{database.upper()}_URL": url})
    assert ended.returncode == RETRY
    assert f"APPRAISER_{database.upper()}_URL: no answer from 127.0.0.1:" in " ".join(ended.stdout.split())
    assert "Traceback" not in ended.stdout + ended.stderr


def test_wrong_options_unknown_runs_and_another_source(deployment: Deployment) -> None:
    fetched(deployment, "r", 0, rows(30))
    assert deployment.run("validate").returncode == 2
    unknown = deployment.run("validate", "--run-id", "nobody")
    assert unknown.returncode == FAILED
    assert "run nobody has no claim in the ledger" in " ".join(unknown.stdout.split())
    other = deployment.run("validate", "--run-id", "r", APPRAISER_SOURCE_ID="another")
    assert other.returncode == FAILED
    assert f"this ledger belongs to the source {SOURCE}" in " ".join(other.stdout.split())
