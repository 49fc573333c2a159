"""Verdicts of validate under other thresholds: what validate itself would have said, or unknown."""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from steps.common.store.ledger import Verdict
from steps.promote.rejudging import HELD_AGAINST, QUARANTINE, SKIP, TRAIN, UNKNOWN, rejudge
from steps.validate.champion_error import ChampionError, Comparison
from steps.validate.drift import Drift, NewValue
from steps.validate.learnable import Learnable
from steps.validate.policy import Policy
from steps.validate.reason import Code, Reason
from steps.validate.usability import Column, Counts
from steps.validate.validate import Report, decide

share = st.floats(0.01, 0.99)
ratio = st.none() | st.floats(0.5, 3)
POLICIES = {
    "refused_share": share, "malformed_share": share, "psi": st.floats(0.01, 1), "new_category_share": share,
    "new_category_rows": st.integers(1, 100), "champion_ratio": st.floats(1.01, 3),
    "champion_slice_ratio": st.floats(1.01, 3), "learnable_rho": share,
}  # fmt: skip


def compared(by: str, ratio: float | None, *, judged: bool = True) -> Comparison:
    """Return a comparison with this ratio of errors, with bounds where it has enough rows to be judged."""
    low, high = (0.9 * ratio, 1.1 * ratio) if ratio and judged else (None, None)
    return Comparison(by, "ohio", 500, 2e4, "all", 500, 1e4, ratio, low, high, 1.0)


columns = st.builds(lambda found: {"bed": Column(0.0, found, 1, (), 2)}, share)
drifts = st.builds(
    lambda psi, chance, part, rows: {
        "price": Drift(psi, 10, chance),
        "status": Drift(0.0, 3, 0.001, new_distinct=1, new_rows=rows, new_values=(NewValue("sold", rows, part),)),
    },
    st.floats(0, 1), st.floats(0, 0.1), share, st.integers(0, 100),
)  # fmt: skip
champions = st.builds(
    lambda whole, judged, state: ChampionError(
        1, compared("batch", whole, judged=judged), (compared("state", state, judged=judged),)
    ),
    ratio, st.booleans(), ratio,
)  # fmt: skip
learnables = st.builds(lambda low: Learnable(10, 10, low, low), st.none() | st.floats(-1, 1))
policies = st.fixed_dictionaries({}, optional=POLICIES)


@st.composite
def reports(draw: st.DrawFn) -> Report:
    """Return a report as `look` and the scoring leave it, but for its faults."""
    refused = draw(st.integers(0, 1000))
    counts = Counts(1000, 5000, 0.2, 1000 - refused, refused, {"MISSING price": refused}, 0, 0)
    return Report(
        1, (0,), counts, draw(columns), (), draw(st.none() | drifts), draw(st.none() | champions), None,
        draw(learnables),
    )  # fmt: skip


def judged(report: Report, policy: Policy, champion: int | None, *, forced: bool = False) -> tuple[Report, str]:
    """Return a report with its faults, as validate finds them, and the verdict."""
    counts = report.counts
    found = [Reason(Code.TOO_MANY_REFUSED, "refused")] if counts.refused / counts.rows > policy.refused_share else []
    found += [
        Reason(Code.COLUMN_MALFORMED, name, name)
        for name, column in report.columns.items()
        if column.malformed_share > policy.malformed_share
    ]
    if found:
        report = dataclasses.replace(report, faults=tuple(found), drift=None, champion=None, learnable=None)
    elif champion is None:
        report = dataclasses.replace(report, champion=None)
    return report, decide(report, champion=champion, forced=forced, policy=policy).verdict


def stored(report: Report, policy: Policy, verdict: str, **more: Any) -> Verdict:
    """Return a verdict as the ledger gives it back."""
    plain = json.loads(json.dumps(report.as_json(), allow_nan=False))
    return Verdict(verdict, [], plain, {**policy.model_dump(), **more})


@settings(max_examples=300, deadline=None)
@given(reports(), policies, policies, st.sampled_from([None, 1]), st.booleans())
def test_it_is_what_validate_would_have_said(
    report: Report, before: dict[str, Any], after: dict[str, Any], champion: int | None, forced: bool
) -> None:
    policy = Policy(**before)
    found, verdict = judged(report, policy, champion, forced=forced)
    again = rejudge(stored(found, policy, verdict), after, forced=forced, actual=champion, champion=champion)
    _, expected = judged(report, Policy(**{**before, **after}), champion, forced=forced)
    refused_only_then = verdict == QUARANTINE != expected
    assert again.verdict == (UNKNOWN if refused_only_then else expected), again.why


@settings(max_examples=300, deadline=None)
@given(reports(), policies, policies, st.sampled_from([None, 1]), st.sampled_from([None, 2]))
def test_with_another_champion_it_is_right_whatever_that_ones_error(
    report: Report, before: dict[str, Any], after: dict[str, Any], actual: int | None, champion: int | None
) -> None:
    assume(actual != champion)
    policy, other = Policy(**before), Policy(**{**before, **after})
    found, verdict = judged(report, policy, actual)
    again = rejudge(stored(found, policy, verdict), after, forced=False, actual=actual, champion=champion)
    fine, bad = (ChampionError(2, compared("batch", one), ()) for one in (0.5, 9.0))
    possible = {judged(dataclasses.replace(report, champion=error), other, champion)[1] for error in (fine, bad)}
    if verdict == QUARANTINE and possible != {QUARANTINE}:
        assert again.verdict == UNKNOWN
    else:
        assert again.verdict == (possible.pop() if len(possible) == 1 else UNKNOWN), again.why


def quiet(**more: Any) -> Verdict:
    """Return a SKIP of a batch whose price had moved a little."""
    report = Report(
        1, (0,), Counts(1000, 5000, 0.2, 1000, 0, {}, 0, 0), {"bed": Column(0.0, 0.0, 0, (), 2)}, (),
        {"price": Drift(0.2, 10, 0.01)}, None, None, Learnable(10, 10, 0.5, 0.4),
    )  # fmt: skip
    return stored(report, Policy(), SKIP, **more)


@pytest.mark.parametrize("name", sorted(Policy.model_fields.keys() - HELD_AGAINST))
def test_a_threshold_that_changed_a_measurement_cannot_be_changed_afterwards(name: str) -> None:
    value = getattr(Policy(), name)
    assert rejudge(quiet(), {name: value}, forced=False, actual=1, champion=1).verdict == SKIP
    again = rejudge(quiet(), {name: value + 1}, forced=False, actual=1, champion=1)
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
