"""Verdicts of validate under other thresholds: what validate itself would have said, or unknown."""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from steps.common.store.ledger import Verdict
from steps.common.verdicts import QUARANTINE, SKIP, TRAIN
from steps.promote.rejudging import HELD_AGAINST, UNKNOWN, rejudge
from steps.validate.drift import Drift
from steps.validate.learnable import Learnable
from steps.validate.policy import Policy
from steps.validate.reason import Code, Reason
from steps.validate.usability import Column, Counts
from steps.validate.validate import Report, decide
from tests.steps.reports import error, policies, reports, value


def measured(report: Report, policy: Policy, champion: int | None) -> Report:
    """Return a report with its faults, as validate finds them, and without what is not measured then."""
    counts, value = report.counts, report.retrain_value
    found = [Reason(Code.TOO_MANY_REFUSED, "refused")] if counts.refused / counts.rows > policy.refused_share else []
    found += [
        Reason(Code.COLUMN_MALFORMED, name, name)
        for name, column in report.columns.items()
        if column.malformed_share > policy.malformed_share
    ]
    if found:
        report = dataclasses.replace(report, faults=tuple(found), drift=None, learnable=None)
    if found or champion is None:
        return dataclasses.replace(report, champion=None, retrain_value=None, champion_unusable=None)
    if value and value.batch_rows < policy.new_category_rows:
        return dataclasses.replace(report, retrain_value=dataclasses.replace(value, here=None))
    return report


def judged(report: Report, policy: Policy, champion: int | None, *, forced: bool = False) -> str:
    """Return the verdict of validate."""
    return decide(measured(report, policy, champion), champion=champion, forced=forced, policy=policy).verdict


def stored(report: Report, policy: Policy, verdict: str, **more: Any) -> Verdict:
    """Return a verdict as the ledger gives it back."""
    plain = json.loads(json.dumps(report.as_json(), allow_nan=False))
    return Verdict(verdict, [], plain, {**policy.model_dump(), **more})


@settings(max_examples=300)
@given(reports(), policies, policies, st.sampled_from([None, 1]), st.booleans())
def test_it_is_what_validate_would_have_said(
    report: Report, before: dict[str, Any], after: dict[str, Any], champion: int | None, forced: bool
) -> None:
    policy, other = Policy(**before), Policy(**{**before, **after})
    verdict = judged(report, policy, champion, forced=forced)
    known = stored(measured(report, policy, champion), policy, verdict)
    again = rejudge(known, after, forced=forced, actual=champion, champion=champion)
    possible = {judged(report, other, champion, forced=forced)}
    probe = report.retrain_value
    if probe and other.new_category_rows <= probe.batch_rows < policy.new_category_rows:
        worths = (value(gain, batch_rows=probe.batch_rows) for gain in (None, 0.999))
        possible = {
            judged(dataclasses.replace(report, retrain_value=worth), other, champion, forced=forced) for worth in worths
        }
    if verdict == QUARANTINE and possible != {QUARANTINE}:
        assert again.verdict == UNKNOWN
    else:
        assert again.verdict == (possible.pop() if len(possible) == 1 else UNKNOWN), again.why


@settings(max_examples=300)
@given(reports(), policies, policies, st.sampled_from([None, 1]), st.sampled_from([None, 2]))
def test_with_another_champion_it_is_right_whatever_that_one_does_on_the_batch(
    report: Report, before: dict[str, Any], after: dict[str, Any], actual: int | None, champion: int | None
) -> None:
    assume(actual != champion)
    policy, other = Policy(**before), Policy(**{**before, **after})
    verdict = judged(report, policy, actual)
    known = stored(measured(report, policy, actual), policy, verdict)
    again = rejudge(known, after, forced=False, actual=actual, champion=champion)
    fine, bad = (
        dataclasses.replace(report, champion=error(one), champion_unusable=None, retrain_value=value(0.0))
        for one in (0.5, 9.0)
    )
    possible = {judged(found, other, champion) for found in (fine, bad)}
    if verdict == QUARANTINE and possible != {QUARANTINE}:
        assert again.verdict == UNKNOWN
    else:
        assert again.verdict == (possible.pop() if len(possible) == 1 else UNKNOWN), again.why


def quiet(**more: Any) -> Verdict:
    """Return a SKIP of a batch whose price had moved a little, and that a training would gain from."""
    report = Report(
        batch=1, batches_before=(0,), counts=Counts(1000, 5000, 0.2, 1000, 0, {}, 0, 0),
        columns={"bed": Column(0.0, 0.0, 0, (), 2)}, faults=(), drift={"price": Drift(0.2, 10, 0.01)},
        champion=error(1.0, 1.0), learnable=Learnable(10, 10, 0.5, 0.4), retrain_value=value(0.05),
    )  # fmt: skip
    return stored(report, Policy(), SKIP, **more)


def test_without_a_champion_a_skip_is_a_training() -> None:
    again = rejudge(quiet(), {}, forced=False, actual=1, champion=None)
    assert (again.verdict, again.why) == (TRAIN, "there would have been no champion yet")


@pytest.mark.parametrize("name", sorted(Policy.model_fields.keys() - HELD_AGAINST))
def test_a_threshold_that_changed_a_measurement_cannot_be_changed_afterwards(name: str) -> None:
    was = getattr(Policy(), name)
    assert rejudge(quiet(), {name: was}, forced=False, actual=1, champion=1).verdict == SKIP
    again = rejudge(quiet(), {name: was + 1}, forced=False, actual=1, champion=1)
    assert again.verdict == UNKNOWN
    assert name in again.why


def test_rules_that_have_grown_are_repeated_but_not_guessed_at() -> None:
    laxer = {"psi": 0.1}
    assert rejudge(quiet(), laxer, forced=False, actual=1, champion=1).verdict == TRAIN
    grown = quiet(gain_of_the_probe=0.01)
    assert rejudge(grown, {}, forced=False, actual=1, champion=1).verdict == SKIP
    assert rejudge(grown, {"psi": 0.22}, forced=False, actual=1, champion=1).verdict == SKIP
    assert rejudge(grown, laxer, forced=False, actual=1, champion=1).verdict == UNKNOWN
    not_repeated = dataclasses.replace(quiet(), verdict=TRAIN)
    assert rejudge(not_repeated, {"psi": 0.22}, forced=False, actual=1, champion=1).verdict == TRAIN
    assert rejudge(not_repeated, laxer, forced=False, actual=1, champion=1).verdict == UNKNOWN


@pytest.mark.parametrize("lacks", ["probe_gain", "retrain_value"])
def test_what_was_stored_before_a_rule_came_cannot_be_held_against_it(lacks: str) -> None:
    whole = quiet()
    report, policy = (
        {name: held for name, held in part.items() if name != lacks} for part in (whole.report, dict(whole.policy))
    )
    older = Verdict(SKIP, [], report, policy)
    assert rejudge(older, {}, forced=False, actual=1, champion=1).verdict == SKIP
    assert rejudge(older, {"psi": 0.22}, forced=False, actual=1, champion=1).verdict == UNKNOWN


LAXER = {"psi": 0.1}
WHY: dict[str, tuple[dict[str, Any], dict[str, float], str, str]] = {
    "pays": ({}, LAXER, TRAIN, "it differs from all before and a training on it pays"),
    "does not pay": (
        {},
        {**LAXER, "probe_gain": 0.06},
        SKIP,
        "it differs from all before and a training on it does not pay",
    ),
    "not by more than chance": ({"retrain_value": value(0.05, 0.06)}, LAXER, SKIP, "does not pay"),
    "dearer": ({"champion": error(1.0, factor=1.05)}, {"price_level": 1.02}, TRAIN, "it differs"),
    "worse": ({"champion": error(1.15)}, {"champion_ratio": 1.01}, TRAIN, "the champion is worse on it"),
    "worse in a state": ({"champion": error(1.0, 1.6)}, {"champion_slice_ratio": 1.4}, TRAIN, "worse on it"),
    "unlearnable": ({}, {"learnable_rho": 0.5}, SKIP, "nothing can be learnt from it"),
    "too few rows then": (
        {"retrain_value": value(None, batch_rows=20)},
        {**LAXER, "new_category_rows": 10},
        UNKNOWN,
        "so few",
    ),
    "too few rows now": ({}, {**LAXER, "new_category_rows": 2000}, SKIP, "does not pay"),
}


@pytest.mark.parametrize("case", WHY)
def test_a_verdict_says_what_it_rests_on(case: str) -> None:
    changes, policy, verdict, why = WHY[case]
    plain = json.loads(json.dumps({name: dataclasses.asdict(one) for name, one in changes.items()}))
    calm = quiet()
    found = Verdict(SKIP, [], {**calm.report, **plain}, calm.policy)
    again = rejudge(found, policy, forced=False, actual=1, champion=1)
    assert (again.verdict, why in again.why) == (verdict, True), again.why
