"""The validate step on a real PostgreSQL and a real MLflow: each verdict, and what it leaves behind."""

import json

import pytest
from sqlalchemy import text

from steps.common import registry
from steps.common.listing import SCOPE_VERSION, SPLIT_VERSION
from steps.common.step import DONE, FAILED, NOTHING_TO_DO
from tests.steps.batches import Row, changed, claimed, fetched, finish, leave_behind, rows, times
from tests.steps.deployment import Deployment, change_a_byte
from tests.steps.validate.champion import crown, train
from tests.steps.validate.stages import clean, codes, frozen, in_production, passed, told, validate, verdict

BEFORE = rows(1200)


pytestmark = pytest.mark.usefixtures("led_here")


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was printed, as one line: the closing block is wrapped."""
    return " ".join(capsys.readouterr().out.split())


def redraw(seed: int = 1, count: int = 1200) -> list[Row]:
    return rows(count, seed=seed)


def test_the_first_batch(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    claim = fetched(deployment, "r", 0, BEFORE)
    assert validate("r") == DONE
    found = verdict(deployment, claim)
    assert (found.verdict, codes(found)) == ("TRAIN", ["NO_CHAMPION"])
    assert found.report["counts"]["rows"] == 1200
    assert found.policy["psi"] == 0.25
    assert frozen(deployment, claim) == {0: "content 0"}
    run = told(deployment, claim)
    assert run.info.status == "RUNNING"
    assert run.data.tags["appraiser.validate.verdict"] == "TRAIN"
    assert run.data.tags["appraiser.validate.reasons"] == "no version is in production yet"
    block = said(capsys).split("─" * 78)[-2]
    assert "validate · batch 0 · attempt 1 · run r" in block
    assert "no version is in production yet" in block


def test_a_redraw_is_skipped_and_joins_the_data_of_later_runs(deployment: Deployment) -> None:
    _, version = in_production(deployment, BEFORE)
    claim = fetched(deployment, "r1", 1, redraw())
    assert validate("r1") == DONE
    found = verdict(deployment, claim)
    assert (found.verdict, codes(found)) == (
        "SKIP", ["NOTHING_CHANGED", "NO_NUMERIC_DRIFT", "CHAMPION_NOT_WORSE", "RETRAIN_DOES_NOT_PAY"],
    )  # fmt: skip
    value = found.report["retrain_value"]
    assert (value["version"], value["share_after"]) == (version, 0.5)
    assert value["here"]["low"] < 0 < value["here"]["high"]
    assert found.report["champion"]["version"] == version
    assert found.report["champion"]["overall"]["ratio"] == pytest.approx(1, abs=0.2)
    assert told(deployment, claim).info.status == "FINISHED"
    assert clean("r1") == DONE
    after = fetched(deployment, "r2", 2, redraw(2))
    assert validate("r2") == DONE
    assert frozen(deployment, after) == {number: f"content {number}" for number in range(3)}
    assert verdict(deployment, after).report["batches_before"] == [0, 1]


def test_dearer_houses_make_the_champion_worse(deployment: Deployment) -> None:
    in_production(deployment, BEFORE)
    claim = fetched(deployment, "r", 1, changed(redraw(), price=times(2)))
    assert validate("r") == DONE
    found = verdict(deployment, claim)
    assert found.verdict == "TRAIN"
    assert codes(found)[:2] == ["CHAMPION_WORSE_HERE", "RETRAIN_PAYS"]
    assert {"DRIFT", "PRICE_LEVEL"} <= set(codes(found))
    assert found.report["retrain_value"]["here"]["low"] > 0.2
    assert found.report["champion"]["overall"]["price_factor"] == pytest.approx(2, rel=0.2)


def test_a_quarantined_batch_is_told_and_is_in_no_data(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    in_production(deployment, BEFORE)
    claim = fetched(deployment, "r1", 1, changed(redraw(), house_size=times(1 / 10.764)))
    assert validate("r1") == FAILED
    found = verdict(deployment, claim)
    assert (found.verdict, codes(found)[-1]) == ("QUARANTINE", "UNIT_CHANGE")
    assert frozen(deployment, claim) == {}
    (alert,) = deployment.rows("alerts")
    assert alert["code"] == "QUARANTINE"
    assert alert["message"].startswith("batch 1 cannot be used: ")
    assert [row["outcome"] for row in deployment.rows("outcomes")] == ["PROMOTE", "QUARANTINE"]
    assert told(deployment, claim).info.status == "FINISHED"
    printed = said(capsys)
    assert "level=error event=alert code=QUARANTINE" in printed
    assert "house_size: the median is" in printed
    assert clean("r1") == NOTHING_TO_DO
    again = validate("r1")
    assert again == FAILED
    after = fetched(deployment, "r2", 2, redraw(2))
    assert validate("r2") == DONE
    assert list(frozen(deployment, after)) == [0, 2]
    assert verdict(deployment, after).report["batches_before"] == [0]


def test_an_abandoned_batch_is_in_no_data(deployment: Deployment) -> None:
    in_production(deployment, BEFORE)
    passed(deployment, "r1", 1, changed(redraw(1), price=times(2)), outcome="ABANDONED")
    after = fetched(deployment, "r2", 2, redraw(2))
    assert validate("r2") == DONE
    assert list(frozen(deployment, after)) == [0, 2]


def test_a_batch_that_is_refused_when_it_is_judged_again_is_in_no_data_from_then_on(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_production(deployment, BEFORE)
    passed(deployment, "r1", 1, [*redraw(), *rows(60, seed=3, price="1.0")], outcome="HOLD")
    again = claimed(deployment, "by hand", 1, force=True)
    with monkeypatch.context() as patched:
        patched.setenv("APPRAISER_VALIDATE_POLICY", json.dumps({"refused_share": 0.01}))
        assert validate("by hand") == FAILED
    assert verdict(deployment, again).verdict == "QUARANTINE"
    after = fetched(deployment, "r2", 2, redraw(2))
    assert validate("r2") == DONE
    assert list(frozen(deployment, after)) == [0, 2]
    assert verdict(deployment, after).report["batches_before"] == [0]


def test_an_attempt_given_up_leaves_a_batch_in_the_data_that_was_found_good_before(deployment: Deployment) -> None:
    in_production(deployment, BEFORE)
    passed(deployment, "r1", 1, redraw(), outcome="SKIP")
    finish(deployment, claimed(deployment, "by hand", 1, force=True), "ABANDONED")
    after = fetched(deployment, "r2", 2, redraw(2))
    assert validate("r2") == DONE
    assert list(frozen(deployment, after)) == [0, 1, 2]
    assert verdict(deployment, after).report["batches_before"] == [0, 1]


def test_a_batch_of_nothing_usable(deployment: Deployment) -> None:
    claim = fetched(deployment, "r", 0, rows(40, price="1.0"))
    assert validate("r") == FAILED
    found = verdict(deployment, claim)
    assert codes(found) == ["TOO_MANY_REFUSED"]
    assert "100.0% of the 40 rows would be refused" in found.reasons[0]["sentence"]


def test_odd_values_break_nothing(deployment: Deployment) -> None:
    in_production(deployment, BEFORE)
    odd = rows(1200, seed=1, status="Verkauft 🏠", city="\\N", brokered_by="a\tb\nc", acre_lot=None)
    claim = fetched(deployment, "r", 1, odd)
    assert validate("r") == DONE
    sentences = [reason["sentence"] for reason in verdict(deployment, claim).reasons]
    assert any("on 1,200 rows: verkauft 🏠 100.0%" in sentence for sentence in sentences)
    assert any("a\\tb\\nc 100.0%" in sentence for sentence in sentences)
    assert not any("\n" in sentence for sentence in sentences)
    assert clean("r") == DONE


def test_a_training_by_hand(deployment: Deployment) -> None:
    first, _ = in_production(deployment, BEFORE)
    claim = claimed(deployment, "by hand", 0, force=True)
    assert validate("by hand") == DONE
    found = verdict(deployment, claim)
    assert (found.verdict, codes(found)[0]) == ("TRAIN", "FORCED")
    # There is nothing to compare the only batch with but itself.
    assert found.report["batches_before"] == []
    assert frozen(deployment, claim) == frozen(deployment, first)


def test_thresholds_are_a_setting(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    in_production(deployment, BEFORE)
    claim = fetched(deployment, "r", 1, changed(redraw(), price=times(2)))
    monkeypatch.setenv(
        "APPRAISER_VALIDATE_POLICY", json.dumps({"psi": 9.0, "champion_ratio": 90.0, "probe_gain": 0.99})
    )
    assert validate("r") == DONE
    found = verdict(deployment, claim)
    assert found.verdict == "SKIP"
    assert (found.policy["psi"], found.policy["champion_ratio"]) == (9.0, 90.0)


def test_a_wrong_threshold_is_named(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fetched(deployment, "r", 0, BEFORE)
    monkeypatch.setenv("APPRAISER_VALIDATE_POLICY", '{"psy": 1}')
    assert validate("r") == FAILED
    assert "APPRAISER_VALIDATE_POLICY: psy: Extra inputs are not permitted" in said(capsys)
    assert deployment.rows("verdicts") == []


def test_previous_is_scored_beside_the_champion(deployment: Deployment) -> None:
    first, old = in_production(deployment, BEFORE)
    second = passed(deployment, "r1", 1, changed(redraw(), price=times(2)))
    new = crown(deployment, second)
    deployment.set_alias(old, registry.PREVIOUS)
    claim = fetched(deployment, "r2", 2, changed(redraw(2), price=times(2)))
    assert validate("r2") == DONE
    report = verdict(deployment, claim).report
    assert (report["champion"]["version"], report["previous"]["version"]) == (new, old)
    assert report["previous"]["rows"] == report["champion"]["overall"]["rows"]
    assert report["previous"]["rmse"] > 1.5 * report["champion"]["overall"]["rmse"]
    assert report["previous"]["champion_rmse"] == pytest.approx(report["champion"]["overall"]["rmse"])
    assert (report["previous"]["champion"], report["previous"]["advised"]) == (new, False)
    change_a_byte(deployment.stored(old, "artifacts/bundle/card.json"))
    claim = fetched(deployment, "r3", 3, redraw(3))
    assert validate("r3") == DONE
    report = verdict(deployment, claim).report
    assert report["previous"] is None
    assert f"version {old} cannot be scored: FileBroken: " in report["notes"][0]
    assert first.claim_id < second.claim_id


@pytest.mark.parametrize("why", ["a changed file", "another split"])
def test_a_champion_that_cannot_be_scored_is_alerted_and_blocks_no_batch(deployment: Deployment, why: str) -> None:
    claim = passed(deployment, "r0", 0, BEFORE)
    version = train(deployment, claim, split="split_v0" if why == "another split" else SPLIT_VERSION)
    deployment.set_alias(version)
    if why == "a changed file":
        change_a_byte(deployment.stored(version, "artifacts/bundle/model.ubj"))
    claim = fetched(deployment, "r", 1, redraw())
    assert validate("r") == DONE
    found = verdict(deployment, claim)
    assert (found.verdict, codes(found)[0]) == ("TRAIN", "CHAMPION_UNUSABLE")
    told = "was trained under split_v0" if why == "another split" else "cannot be scored: FileBroken: "
    assert f"version {version} {told}" in found.report["champion_unusable"]
    (alert,) = deployment.rows("alerts")
    assert (alert["code"], alert["batch_number"]) == ("CHAMPION_UNUSABLE", 1)
    assert list(frozen(deployment, claim)) == [0, 1]


def test_a_lost_alias_leaves_previous_to_be_judged_by(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    from steps.common.store import models

    _, version = in_production(deployment, BEFORE)
    with deployment.ledger.begin() as connection:
        models.append_alias_event(connection, "ALIAS_SET", reason="a test", candidate=version)
    deployment.tracking.delete_registered_model_alias(registry.MODEL, registry.PRODUCTION)
    deployment.set_alias(version, registry.PREVIOUS)
    claim = fetched(deployment, "r1", 1, redraw())
    assert validate("r1") == DONE
    assert verdict(deployment, claim).report["champion"]["version"] == version
    finish(deployment, claim, "SKIP")
    deployment.tracking.delete_registered_model_alias(registry.MODEL, registry.PREVIOUS)
    fetched(deployment, "r2", 2, redraw(2))
    assert validate("r2") == FAILED
    assert "the alias Production is gone" in said(capsys)


def test_batches_cleaned_by_other_bounds_are_compared_with_as_they_stand_and_named(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    in_production(deployment, BEFORE)
    leave_behind(deployment, 0)
    claim = fetched(deployment, "r", 1, redraw())
    assert validate("r") == DONE
    found = verdict(deployment, claim)
    assert (found.verdict, found.report["counts"]["rows_before"]) == ("SKIP", 1200)
    told = f"compared with as cleaned by other bounds than {SCOPE_VERSION}: batch 0 (scope_v0)"
    assert found.report["notes"] == [told]
    assert told in said(capsys)


def test_batches_that_nobody_said_the_scope_of_are_of_the_first_and_not_named(deployment: Deployment) -> None:
    passed(deployment, "r0", 0, BEFORE)
    with deployment.clean.begin() as connection:
        connection.execute(text("DELETE FROM cleanings"))
    claim = fetched(deployment, "r", 1, redraw())
    assert validate("r") == DONE
    assert verdict(deployment, claim).report["notes"] == []


def test_a_finished_batch_that_is_not_in_clean_is_missed(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    passed(deployment, "r0", 0, BEFORE)
    with deployment.clean.begin() as connection:
        connection.execute(text("DELETE FROM value_counts"))
    fetched(deployment, "r", 1, redraw())
    assert validate("r") == FAILED
    assert "CLEAN has no listings of finished batch 0" in said(capsys)
