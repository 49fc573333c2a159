"""The verdict on each kind of batch, from what was measured."""

import dataclasses
import json

import pytest

from steps.common.settings import PREFIX, SettingRefused
from steps.validate.champion_error import ChampionError, Comparison
from steps.validate.learnable import Learnable
from steps.validate.policy import Policy, read_policy
from steps.validate.reason import Code
from steps.validate.validate import QUARANTINE, SKIP, TRAIN, Decision, Report, decide, look
from tests.steps.batches import Row, changed, rows, times
from tests.steps.validate.judging import batch_of, reference_of

POLICY = Policy()
BEFORE = rows(900)


def looked(some: list[Row], before: list[Row] | None = None) -> Report:
    """Return the report on a batch; that it can be learnt from, and by what margin, is another test."""
    found = look(batch_of(some), reference_of(before) if before else None, POLICY)
    return found if found.faults else dataclasses.replace(found, learnable=Learnable(5000, 600, 0.6, 0.55))


def error(ratio: float) -> ChampionError:
    own = 50_000.0
    return ChampionError(
        4, Comparison("batch", "all", 900, own * ratio, "all", 9000, own, ratio, ratio - 0.03, ratio + 0.03, 1.0), ()
    )


def decided(report: Report, *, champion: int | None = 4, forced: bool = False) -> Decision:
    return decide(report, champion=champion, forced=forced, policy=POLICY)


def codes(decision: Decision) -> list[Code]:
    return [reason.code for reason in decision.reasons]


def test_the_first_batch_is_trained_on() -> None:
    found = decided(looked(BEFORE), champion=None)
    assert (found.verdict, codes(found)) == (TRAIN, [Code.NO_CHAMPION])


def test_an_independent_redraw_is_skipped_and_says_why() -> None:
    report = dataclasses.replace(looked(rows(900, seed=1), BEFORE), champion=error(1.0))
    found = decided(report)
    assert found.verdict == SKIP
    assert codes(found) == [Code.NOTHING_CHANGED, Code.NO_NUMERIC_DRIFT, Code.CHAMPION_NOT_WORSE]


def test_a_redraw_on_which_the_champion_fails_is_trained_on() -> None:
    report = dataclasses.replace(looked(rows(900, seed=1), BEFORE), champion=error(1.5))
    found = decided(report)
    assert found.verdict == TRAIN
    assert codes(found) == [Code.CHAMPION_WORSE_HERE, Code.NO_NUMERIC_DRIFT]


def test_drift_is_trained_on_while_nobody_measured_whether_it_pays() -> None:
    smaller = changed(rows(900, seed=1), house_size=times(0.6))
    found = decided(dataclasses.replace(looked(smaller, BEFORE), champion=error(1.0)))
    assert found.verdict == TRAIN
    assert codes(found) == [Code.DRIFT, Code.PROBE_NOT_MEASURED, Code.CHAMPION_NOT_WORSE]
    assert found.reasons[0].about == "house_size"


def test_a_new_category_is_trained_on_and_no_numeric_drift_is_said() -> None:
    found = decided(looked(rows(900, seed=1, status="auctioned"), BEFORE))
    assert found.verdict == TRAIN
    assert codes(found) == [Code.NEW_CATEGORY, Code.PROBE_NOT_MEASURED, Code.NO_NUMERIC_DRIFT]


@pytest.mark.parametrize("champion", [None, 4])
def test_a_batch_nothing_can_be_learnt_from_is_skipped_whatever_changed(champion: int | None) -> None:
    smaller = changed(rows(900, seed=1), house_size=times(0.6))
    report = dataclasses.replace(looked(smaller, BEFORE), learnable=Learnable(5000, 600, 0.02, -0.05))
    found = decided(report, champion=champion)
    assert found.verdict == SKIP
    assert found.reasons[0].code is Code.NOT_LEARNABLE
    assert (Code.DRIFT in codes(found)) == (champion is not None)
    assert Code.PROBE_NOT_MEASURED not in codes(found)


@pytest.mark.parametrize("learnable", [Learnable(5000, 600, 0.6, 0.55), Learnable(10, 2, None, None)])
def test_what_is_forced_is_trained_on_and_the_rest_is_said(learnable: Learnable) -> None:
    report = dataclasses.replace(looked(rows(900, seed=1), BEFORE), learnable=learnable, champion=error(1.0))
    found = decided(report, forced=True)
    assert found.verdict == TRAIN
    assert codes(found)[0] is Code.FORCED
    assert (Code.NOT_LEARNABLE in codes(found)) == (learnable.rho is None)


def test_force_does_not_open_the_quarantine() -> None:
    report = looked(rows(900, seed=1, zip_code=None), BEFORE)
    found = decided(report, forced=True)
    assert (found.verdict, codes(found)) == (QUARANTINE, [Code.TOO_MANY_REFUSED])
    assert report.drift is None
    assert report.learnable is None


def test_faults_are_named_together() -> None:
    metric = changed(rows(900, seed=1), house_size=times(0.0001))
    assert codes(decided(looked(metric, BEFORE))) == [Code.TOO_MANY_REFUSED, Code.UNIT_CHANGE]


def test_a_whole_report_can_be_stored() -> None:
    report = dataclasses.replace(looked(rows(900, seed=1, acre_lot=None), BEFORE), champion=error(1.0))
    plain = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert plain["counts"]["rows"] == 900
    assert plain["drift"]["acre_lot"]["median"] is None
    assert plain["champion"]["overall"]["ratio"] == 1.0
    assert plain["retrain_value"] is None


def test_every_threshold_says_what_it_is_for() -> None:
    for name, field in Policy.model_fields.items():
        assert field.description, name


def test_thresholds_are_overridden_and_wrong_ones_named() -> None:
    assert read_policy({}) == POLICY
    assert read_policy({"psi": 0.1, "champion_ratio": 1.2}).psi == 0.1
    with pytest.raises(SettingRefused, match=f"^{PREFIX}VALIDATE_POLICY: refused_share: .*; psy: [^\n]*$"):
        read_policy({"psy": 0.1, "refused_share": 2})
