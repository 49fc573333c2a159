"""The history under another policy: exact where it was measured, unknown where nobody can tell, and never a guess."""

import datetime as dt
from array import array
from statistics import NormalDist
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.common.store.ledger import Claim, Verdict
from steps.common.verdicts import QUARANTINE, SKIP, TRAIN
from steps.promote.history import Attempt, Candidate, Event, Move
from steps.promote.other_policy import OtherPolicy
from steps.promote.policy import Policy
from steps.promote.promote import HOLD, PROMOTE, REJECT, decide
from steps.promote.reason import Code, because
from steps.promote.rejudging import UNKNOWN
from steps.promote.stored_errors import StoredErrors
from steps.promote.what_if import (
    NOT_PROMOTED,
    NOT_TRAINED,
    UNTRAINED,
    Replayed,
    Trainings,
    replay,
    skips_trained,
    trainings,
)
from tests.steps.promote.evidence import evidence, metrics
from tests.steps.promote.test_rejudging import quiet

AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
AS_IT_WAS = OtherPolicy({}, {})
LITERAL = OtherPolicy({"confidence": 0.0}, {})
STRICT = OtherPolicy({"least_gain": 0.3}, {})
HOUSES = 1000


def judged_train() -> Verdict:
    """Return a TRAIN for a drift of the price that is as large as that of `quiet` is small."""
    calm = quiet()
    drift = {"price": {**calm.report["drift"]["price"], "psi": 0.9}}
    return Verdict(TRAIN, [], {**calm.report, "drift": drift}, calm.policy)


def candidate(version: int, champion: int | None, rmse: float, against: float | None, **changes: Any) -> Candidate:
    """Return a candidate with the verdict that the default policy gave it."""
    found = evidence(rmse, against, candidate_version=version, champion_version=champion or 1, **changes)
    return Candidate(version, champion, decide(found, Policy()), found)


def attempt(batch: int, of: Candidate | None = None, judged: Verdict | None = None, force: bool = False) -> Attempt:
    claim = Claim(batch + 1, "s", batch, 1, f"r{batch}", "c", force)
    return Attempt(claim, judged or (judged_train() if of else quiet()), of, AT)


FIRST = candidate(1, None, 60_000, None)


def errors(**rmse: float) -> Any:
    """Return what is stored of each candidate's comparison: versions with these RMSE, `v<version>=`."""
    squared = {
        int(name[1:]): array("d", [value**2 * (0.5 + k % 2) for k in range(HOUSES)]) for name, value in rmse.items()
    }
    return lambda _: StoredErrors(array("i", [1] * HOUSES), squared)


def nothing(_: Candidate) -> None:
    """Return that no errors are stored."""


def verdicts(told: list[Replayed]) -> list[str]:
    return [one.decided.verdict if one.decided else one.judged.verdict if one.judged else "moved" for one in told]


def final(told: list[Replayed]) -> set[int | None]:
    return set(told[-1].champions)


figures = st.tuples(st.floats(3e4, 8e4), st.sampled_from([True, False]))


@settings(deadline=None)
@given(st.lists(figures, max_size=5), st.sampled_from([None, "rollback"]))
def test_the_policy_that_was_tells_the_history_that_was(found: list[tuple[float, bool]], moved: str | None) -> None:
    events: list[Event] = []
    champion: int | None = None
    error = 0.0
    for version, (rmse, trained) in enumerate(found, 1):
        if not trained:
            events.append(attempt(version))
            continue
        one = candidate(version, champion, rmse, error if champion else None)
        events.append(attempt(version, one))
        if one.verdict.verdict == PROMOTE:
            champion, error = version, rmse
        if moved and champion:
            champion = version
            error = rmse
            events.append(Move(version, "by hand", AT))
    told = replay(events, AS_IT_WAS, nothing)
    assert all(was.champions == {was.actual} for was in told)
    stored = [
        event.candidate.verdict.verdict if event.candidate else SKIP for event in events if isinstance(event, Attempt)
    ]
    assert [verdict for verdict in verdicts(told) if verdict != "moved"] == stored
    assert trainings(told)[0] == trainings(told)[1]
    assert skips_trained(told) == []


def test_a_hold_that_a_laxer_policy_promotes_makes_later_pairs_unknown() -> None:
    held = candidate(2, 1, 59_900, 60_000)
    assert held.verdict.verdict == HOLD
    later = candidate(3, 1, 50_000, 60_000)
    told = replay([attempt(0, FIRST), attempt(1, held), attempt(2, later)], LITERAL, errors(v1=60_000, v3=50_000))
    assert verdicts(told) == [PROMOTE, PROMOTE, UNKNOWN]
    assert told[2].decided is not None
    assert "version 2 was not scored on the houses" in told[2].decided.why
    assert (told[2].actual, final(told)) == (3, {2, 3})
    assert trainings(told) == (Trainings(3, 1), Trainings(3, 0, 1))


def test_a_champion_is_certain_again_once_a_candidate_beats_all_it_may_have_been() -> None:
    held, better, best = (
        candidate(2, 1, 59_900, 60_000),
        candidate(3, 1, 50_000, 60_000),
        candidate(4, 3, 40_000, 50_000),
    )
    events = [attempt(0, FIRST), attempt(1, held), attempt(2, better), attempt(3, best)]
    scored = {3: errors(v1=60_000, v3=50_000), 4: errors(v2=59_000, v3=50_000, v4=40_000)}
    told = replay(events, LITERAL, lambda of: scored[of.version](of))
    assert verdicts(told) == [PROMOTE, PROMOTE, UNKNOWN, PROMOTE]
    assert final(told) == {4}


def previous(version: int, rmse: float) -> dict[str, Any]:
    return {**evidence(rmse, None)["candidate"], "version": version, "metrics": metrics(rmse)}


STRICTER = {
    "much better": (40_000, {"previous": previous(1, 60_000)}, PROMOTE),
    "mean error unknown": (40_000, {}, UNKNOWN),
    "hardly better": (54_000, {"previous": previous(1, 60_000)}, NOT_PROMOTED),
    "worse": (80_000, {}, REJECT),
}


@pytest.mark.parametrize("case", STRICTER)
def test_a_promotion_that_a_stricter_policy_holds_leaves_pairs_that_stored_errors_can_tell(case: str) -> None:
    rmse, changes, wanted = STRICTER[case]
    second, third = candidate(2, 1, 52_000, 60_000), candidate(3, 2, rmse, 52_000, **changes)
    events = [attempt(0, FIRST), attempt(1, second), attempt(2, third)]
    told = replay(events, STRICT, errors(v1=60_000, v2=52_000, v3=rmse))
    assert verdicts(told) == [PROMOTE, HOLD, wanted]
    assert final(told) == {PROMOTE: {3}, UNKNOWN: {1, 3}}.get(wanted, {1})


def test_slices_that_are_not_stored_are_said_to_be() -> None:
    second = candidate(2, 1, 59_000, 60_000)
    third = candidate(3, 2, 57_000, 59_000, previous=previous(1, 60_000))
    assert second.verdict.verdict == PROMOTE
    other = OtherPolicy({"least_gain": 0.02}, {})
    told = replay([attempt(0, FIRST), attempt(1, second), attempt(2, third)], other, errors(v1=60_000, v3=57_000))
    assert verdicts(told) == [PROMOTE, HOLD, UNKNOWN]
    assert told[2].decided is not None
    assert told[2].decided.why.endswith("But slices beside version 1 are not stored.")


@pytest.mark.parametrize(("widths", "wanted"), [(0.8, NOT_PROMOTED), (1.0, UNKNOWN), (1.2, PROMOTE)])
def test_a_gain_at_the_threshold_is_not_told_from_a_normal_interval(widths: float, wanted: str) -> None:
    half = errors(v1=60_000, v3=30_000)(FIRST).gap(1, 3)
    spread = 2 * half.standard_error / 60_000
    # The 30 % that are asked for are so many half-widths of the interval below the gain.
    rmse = 60_000 * (1 - 0.3 / (1 - NormalDist().inv_cdf(0.975) * spread * widths))
    second, third = candidate(2, 1, 52_000, 60_000), candidate(3, 2, rmse, 52_000, previous=previous(1, 60_000))
    events = [attempt(0, FIRST), attempt(1, second), attempt(2, third)]
    told = replay(events, STRICT, errors(v1=60_000, v2=52_000, v3=rmse))
    assert verdicts(told) == [PROMOTE, HOLD, wanted]
    assert ("too near the threshold" in told[2].decided.why if told[2].decided else False) == (wanted == UNKNOWN)


def test_errors_that_are_gone_are_unknown_and_a_first_model_is_not() -> None:
    second, third = candidate(2, 1, 52_000, 60_000), candidate(3, 2, 40_000, 52_000)
    told = replay([attempt(0, FIRST), attempt(1, second), attempt(2, third)], STRICT, nothing)
    assert verdicts(told) == [PROMOTE, HOLD, UNKNOWN]
    assert told[2].decided is not None
    assert "are gone" in told[2].decided.why
    heavy = OtherPolicy({"megabytes": 100.0}, {})
    light = {**evidence()["infrastructure"], "megabytes": 90.0}
    told = replay(
        [attempt(0, FIRST), attempt(1, candidate(2, 1, 52_000, 60_000, infrastructure=light))], heavy, nothing
    )
    assert verdicts(told) == [REJECT, PROMOTE]
    assert told[1].decided is not None
    assert "This is the first model" in told[1].decided.why


def test_a_skip_that_would_have_been_trained_is_a_champion_nobody_knows() -> None:
    later = candidate(2, 1, 40_000, 60_000)
    events = [attempt(0, FIRST), attempt(1, judged=quiet()), attempt(2, later)]
    told = replay(events, OtherPolicy({}, {"psi": 0.1}), errors(v1=60_000, v2=40_000))
    assert verdicts(told) == [PROMOTE, TRAIN, UNKNOWN]
    assert [one.event for one in skips_trained(told)] == [events[1]]
    assert told[1].champions == {1, UNTRAINED}
    assert final(told) == {2, UNTRAINED}


def test_a_training_spared_leaves_the_champion_and_is_not_wasted() -> None:
    held = candidate(2, 1, 59_900, 60_000)
    told = replay([attempt(0, FIRST), attempt(1, held, judged_train())], OtherPolicy({}, {"psi": 2.0}), nothing)
    assert verdicts(told) == [PROMOTE, NOT_TRAINED]
    assert final(told) == {1}
    assert trainings(told) == (Trainings(2, 1), Trainings(1, 0))
    forced = replay(
        [attempt(0, FIRST), attempt(1, held, judged_train(), force=True)], OtherPolicy({}, {"psi": 2.0}), nothing
    )
    assert verdicts(forced) == [PROMOTE, HOLD]


@pytest.mark.parametrize("changes", [{"refused_share": 0.0}, {"median_factor": 2.0}])
def test_another_quarantine_makes_other_data_and_other_candidates(changes: dict[str, float]) -> None:
    report = quiet().report
    some_refused = {**report, "counts": {**report["counts"], "refused": 1}}
    skipped = Verdict(SKIP, [], some_refused, quiet().policy)
    later = candidate(2, 1, 40_000, 60_000)
    told = replay([attempt(0, FIRST), attempt(1, judged=skipped), attempt(2, later)], OtherPolicy({}, changes), nothing)
    assert verdicts(told)[1] == (QUARANTINE if "refused_share" in changes else UNKNOWN)
    assert verdicts(told)[2] == UNKNOWN
    assert UNTRAINED in final(told)


def test_what_was_stale_or_done_by_hand_stays_so() -> None:
    stale = Candidate(2, 1, Verdict("STALE", [], {}, Policy().model_dump()), {})
    better = candidate(2, 7, 40_000, 60_000)
    events: list[Event] = [
        attempt(0, FIRST),
        attempt(1, stale),
        Move(7, "by hand", AT),
        attempt(1, better),
        Move(None, "lost", AT),
    ]
    told = replay(events, LITERAL, nothing)
    assert verdicts(told) == [PROMOTE, "STALE", "moved", PROMOTE, "moved"]
    assert [one.actual for one in told] == [1, 1, 7, 2, 2]
    assert [set(one.champions) for one in told] == [{1}, {1}, {7}, {2}, {2}]


def carried_out(version: int, champion: int, found: dict[str, Any]) -> Candidate:
    """Return a candidate whose promotion was found carried out, by a run with a stricter policy and this evidence."""
    reason = because(Code.CARRIED_OUT, "The alias was set by this promotion (event 4) under the policy of that time.")
    return Candidate(version, champion, Verdict(PROMOTE, [reason], {}, Policy(least_gain=0.5).model_dump()), found)


CARRIED_OUT = {
    "the same policy": (AS_IT_WAS, PROMOTE, {2}),
    "other thresholds of validate": (OtherPolicy({}, {"psi": 0.2}), PROMOTE, {2}),
    "other thresholds of promote": (OtherPolicy({"mae_tolerance": 0.02}, {}), UNKNOWN, {1, 2}),
    "the threshold of the later run": (OtherPolicy({"least_gain": 0.5}, {}), UNKNOWN, {1, 2}),
}


@pytest.mark.parametrize("found", [evidence(52_000, 60_000, candidate_version=2, champion_version=1), {}])
@pytest.mark.parametrize("case", CARRIED_OUT)
def test_a_promotion_carried_out_is_as_it_was_or_unknown(case: str, found: dict[str, Any]) -> None:
    other, wanted, champions = CARRIED_OUT[case]
    told = replay([attempt(0, FIRST), attempt(1, carried_out(2, 1, found))], other, nothing)
    assert verdicts(told) == [PROMOTE, wanted]
    assert final(told) == champions


def test_a_promotion_carried_out_over_another_champion_is_unknown() -> None:
    second, third = candidate(2, 1, 52_000, 60_000), carried_out(3, 2, evidence(40_000, 52_000, candidate_version=3))
    events = [attempt(0, FIRST), attempt(1, second), attempt(2, third, force=True)]
    told = replay(events, OtherPolicy({}, {"psi": 2.0}), errors(v1=60_000, v2=52_000, v3=40_000))
    assert verdicts(told) == [PROMOTE, NOT_TRAINED, UNKNOWN]
    assert (told[2].actual, final(told)) == (3, {1, 3})


def test_a_champion_without_a_verdict_and_a_policy_of_another_time() -> None:
    found = candidate(5, 4, 40_000, 60_000)
    assert verdicts(replay([attempt(0, FIRST), attempt(1, found)], AS_IT_WAS, nothing)) == [PROMOTE, PROMOTE]
    old = Verdict(PROMOTE, [], {}, {**Policy().model_dump(), "of_another_time": 1})
    strange = Candidate(5, 1, old, found.evidence)
    assert verdicts(replay([attempt(0, FIRST), attempt(1, strange)], AS_IT_WAS, nothing)) == [PROMOTE, UNKNOWN]
