"""The history of champions under another policy: every decision taken again, in order, from what was stored for it.

Once the other policy has promoted another version than the one that was, later candidates have to be compared with a
champion that they were not measured against. That is possible where the champion was scored beside them: RMSE is
exact then, its interval a normal one, slices unknown. What cannot be told is UNKNOWN, never guessed; from there on
several versions may be the champion, until a candidate is promoted, or refused, whichever of them it is.

Candidates are those that were trained. Another champion's parameters would have entered later sweeps, and what a
training gains on it decides which batches are worth one; no figure of the past says what of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final

from steps.common.evidence import GUARDED, PROBABILITIES
from steps.common.verdicts import QUARANTINE, SKIP, TRAIN
from steps.promote.history import Attempt, Candidate, Event, Move
from steps.promote.other_policy import OtherPolicy
from steps.promote.policy import Policy
from steps.promote.promote import HOLD, PROMOTE, REJECT, decide
from steps.promote.rejudging import UNKNOWN, UNSTORED_FAULTS, Redecided, rejudge
from steps.promote.stored_errors import Gap, StoredErrors

# A model that the other policy would have had trained: what it would have been worth, nobody knows.
UNTRAINED: Final = 0
NOT_TRAINED: Final = "not trained"
# A guard could still have made a rejection of it.
NOT_PROMOTED: Final = "HOLD or REJECT"
# A normal interval is off by less where houses are many; a verdict has to stand with a tenth more and less of it.
_WIDTHS: Final = (0.9, 1.0, 1.1)

Champions = frozenset[int | None]
Errors = Callable[[Candidate], StoredErrors | None]


@dataclass(frozen=True)
class Replayed:
    """An event, what would have become of it, and who was champion afterwards, in fact and otherwise.

    Verdicts are those of the steps, or UNKNOWN, NOT_TRAINED, NOT_PROMOTED; several champions where it cannot be told.
    """

    event: Event
    judged: Redecided | None
    decided: Redecided | None
    actual: int | None
    champions: Champions


def replay(events: Iterable[Event], other: OtherPolicy, errors: Errors) -> list[Replayed]:
    """Return the history under another policy; `errors` are the stored ones of a candidate's comparison."""
    actual: int | None = None
    champions: Champions = frozenset({None})
    other_data = False
    told: list[Replayed] = []
    for event in events:
        judged, decided = None, None
        if isinstance(event, Move):
            # An order is an order whatever the gate thinks; a lost alias leaves the last champion to be beaten.
            actual = event.champion or actual
            champions = frozenset({event.champion}) if event.champion else champions
        else:
            actual, champions = _unsaid(event, actual, champions)
            judged = _judged(event, other, actual, champions)
            other_data |= _in_other_data(event, judged, other)
            decided, champions = _decided(event, judged, champions, other, errors, other_data)
            if event.candidate and event.candidate.verdict.verdict == PROMOTE:
                actual = event.candidate.version
        told.append(Replayed(event, judged, decided, actual, champions))
    return told


def _unsaid(attempt: Attempt, actual: int | None, champions: Champions) -> tuple[int | None, Champions]:
    """Return the champions with one that nobody wrote a verdict about: its promotion was carried out, then died."""
    found = attempt.candidate.champion if attempt.candidate and not attempt.candidate.stale else actual
    return found, frozenset({found}) if champions == {actual} else champions


def _judged(attempt: Attempt, other: OtherPolicy, actual: int | None, champions: Champions) -> Redecided:
    found = [
        rejudge(attempt.judged, other.validate, forced=attempt.claim.force_train, actual=actual, champion=champion)
        for champion in sorted(champions, key=_by_number)
    ]
    verdicts = {one.verdict for one in found}
    agreed = found[0] if len(verdicts) == 1 else Redecided(UNKNOWN, "it depends on who the champion would have been")
    if agreed.verdict == UNKNOWN and attempt.judged.verdict == TRAIN and champions != {actual}:
        # Nothing was measured of another champion: as with the one there was, or nothing after it could ever be told.
        with_it = _judged(attempt, other, actual, frozenset({actual}))
        return with_it if with_it.verdict == TRAIN else agreed
    return agreed


def _in_other_data(attempt: Attempt, judged: Redecided, other: OtherPolicy) -> bool:
    """Tell whether the batch would be, or may be, in later data sets where it is not, or the other way round."""
    if judged.verdict == UNKNOWN and UNSTORED_FAULTS & other.validate.keys():
        return True
    return (judged.verdict == QUARANTINE) != (attempt.judged.verdict == QUARANTINE)


def _by_number(champion: int | None) -> int:
    return -1 if champion is None else champion


def _decided(
    attempt: Attempt, judged: Redecided, champions: Champions, other: OtherPolicy, errors: Errors, other_data: bool
) -> tuple[Redecided | None, Champions]:
    """Return what would have become of the candidate, and who may have been champion after it."""
    candidate = attempt.candidate
    if candidate is None:
        # A SKIP of which nobody knows is taken as it was, or nothing after it could ever be told.
        return None, champions | {UNTRAINED} if judged.verdict == TRAIN else champions
    if judged.verdict not in {TRAIN, UNKNOWN}:
        return Redecided(NOT_TRAINED, judged.why), champions
    if candidate.stale:
        return Redecided(candidate.verdict.verdict, "not decided: the batch was taken up again"), champions
    if other_data:
        return Redecided(UNKNOWN, "it would have been trained on other batches"), champions | {UNTRAINED}
    found = {one: _against(candidate, one, other, errors) for one in champions}
    after: Champions = frozenset(who for one, decided in found.items() for who in _after(one, candidate, decided))
    decided = _agreed(list(found.values()))
    if judged.verdict == UNKNOWN:
        return Redecided(UNKNOWN, f"whether it would have been trained: {judged.why}"), after | champions
    return decided, after


def _after(champion: int | None, candidate: Candidate, decided: Redecided) -> set[int | None]:
    if decided.verdict == PROMOTE:
        return {candidate.version}
    return {champion, candidate.version} if decided.verdict == UNKNOWN else {champion}


def _agreed(found: Sequence[Redecided]) -> Redecided:
    verdicts = {one.verdict for one in found}
    if len(verdicts) == 1:
        return found[0]
    if verdicts <= {HOLD, REJECT, NOT_PROMOTED}:
        return Redecided(NOT_PROMOTED, "whichever the champion would have been")
    known = next((one for one in found if one.verdict == UNKNOWN), None)
    return known or Redecided(UNKNOWN, "it depends on who the champion would have been")


def _against(candidate: Candidate, champion: int | None, other: OtherPolicy, errors: Errors) -> Redecided:
    """Return the decision about a candidate with a champion, exact where they were compared at the time."""
    if candidate.carried_out and champion != candidate.version:
        return _carried_out(candidate, champion, other)
    policy = other.for_promote(candidate.verdict.policy)
    if policy is None:
        return Redecided(UNKNOWN, "the policy of that time has thresholds that this code does not know")
    if champion == candidate.version:
        return Redecided(PROMOTE, "it would have been in production already")
    if champion == candidate.champion:
        return _exact(candidate.evidence, policy)
    if champion is None:
        alone = {"champion": None, "gain": None, "alias_ever_set": False}
        return _exact({**candidate.evidence, **alone}, policy)
    return _beside(candidate, champion, policy, errors)


def _carried_out(candidate: Candidate, champion: int | None, other: OtherPolicy) -> Redecided:
    """Return a verdict that rests on a promotion carried out already: as it was, where nothing differs."""
    # The policy and the evidence beside it are those of the run that found it so; from them it would not be promoted.
    if other.promote or champion != candidate.champion:
        return Redecided(UNKNOWN, "it was carried out under a policy that is not stored")
    return Redecided(candidate.verdict.verdict, str(candidate.verdict.reasons[0]["sentence"]))


def _beside(candidate: Candidate, champion: int, policy: Policy, errors: Errors) -> Redecided:
    """Return the decision about a candidate with a champion it was not compared with at the time."""
    if champion == UNTRAINED:
        return Redecided(UNKNOWN, "it would have had to beat a model that was never trained")
    stored = errors(candidate)
    if stored is None:
        return Redecided(UNKNOWN, "the stored errors of its comparison are gone")
    gap = stored.gap(champion, candidate.version)
    if gap is None:
        return Redecided(UNKNOWN, f"version {champion} was not scored on the houses it was tested on")
    return _by_errors(candidate.evidence, champion, gap, policy)


def _exact(evidence: Mapping[str, Any], policy: Policy) -> Redecided:
    verdict = decide(evidence, policy)
    return Redecided(verdict.verdict, str(verdict.reasons[0]["sentence"]))


def _by_errors(evidence: Mapping[str, Any], champion: int, gap: Gap, policy: Policy) -> Redecided:
    """Return the decision by RMSE, and by the mean absolute error where it is stored; slices are not."""
    mae = _mean_error(evidence, champion)
    found = [decide(_compared(evidence, champion, gap, mae, width), policy) for width in _WIDTHS]
    if len({one.verdict for one in found}) > 1:
        return Redecided(UNKNOWN, f"beside version {champion} its gain is too near the threshold for a normal interval")
    verdict = found[1]
    sentence = f"Beside version {champion}, by the stored errors: {verdict.reasons[0]['sentence']}"
    lifted = bool(verdict.report.get("guard_lifted"))
    if policy.confidence == 0 or verdict.verdict == REJECT:
        return Redecided(verdict.verdict, sentence)
    if verdict.verdict == HOLD:
        return Redecided(NOT_PROMOTED, sentence)
    unknown = [*([] if mae is not None else ["mean absolute error"]), *([] if lifted else ["slices"])]
    if unknown:
        return Redecided(UNKNOWN, f"{sentence} But {' and '.join(unknown)} beside version {champion} are not stored.")
    return Redecided(PROMOTE, sentence)


def _mean_error(evidence: Mapping[str, Any], champion: int) -> float | None:
    previous = evidence.get("previous")
    known = previous is not None and previous["version"] == champion
    return previous["metrics"]["mae"] if known and previous else None


def _compared(evidence: Mapping[str, Any], champion: int, gap: Gap, mae: float | None, width: float) -> dict[str, Any]:
    """Return evidence on another pair, every guard that is not known passed.

    `width` is what the interval is widened by.
    """
    candidate = evidence["candidate"]
    rest = {"mae": candidate["metrics"]["mae"] if mae is None else mae, "r2": None, "mdape": None, "rmsle": None}
    point, spread = gap.champion - gap.candidate, width * gap.standard_error
    values = [point + spread * NormalDist().inv_cdf(probability) for probability in PROBABILITIES]
    no_rows = {"value": "not stored", "rows": 0, "new_rows": 0, "candidate": candidate["metrics"], "champion": None}
    return {
        **evidence,
        "champion": {**candidate, "version": champion, "metrics": {"rmse": gap.champion, **rest}},
        "gain": {"point": point, "seed": 0, "distribution": {"replicates": 1000, "values": values}},
        "slices": [{"by": by, **no_rows} for by in sorted(GUARDED)],
    }


@dataclass(frozen=True)
class Trainings:
    """Versions that were trained, those of them that never went into production, and those nobody can tell that of."""

    trained: int
    wasted: int
    unknown: int = 0


def trainings(told: Iterable[Replayed]) -> tuple[Trainings, Trainings]:
    """Return the trainings there were, and those of them that there would have been."""
    stored: dict[int, set[str]] = {}
    otherwise: dict[int, set[str]] = {}
    for one in told:
        candidate = one.event.candidate if isinstance(one.event, Attempt) else None
        if candidate and one.decided and not candidate.stale:
            stored.setdefault(candidate.version, set()).add(candidate.verdict.verdict)
            otherwise.setdefault(candidate.version, set()).add(one.decided.verdict)
    return _trainings(stored), _trainings(otherwise)


def _trainings(verdicts: Mapping[int, set[str]]) -> Trainings:
    trained = [found for found in verdicts.values() if found != {NOT_TRAINED}]
    open_ones = [found for found in trained if PROMOTE not in found]
    unknown = sum(UNKNOWN in found for found in open_ones)
    return Trainings(len(trained), len(open_ones) - unknown, unknown)


def skips_trained(told: Iterable[Replayed]) -> list[Replayed]:
    """Return the attempts that were skipped and that the other policy would, or may, have trained."""
    return [
        one
        for one in told
        if isinstance(one.event, Attempt)
        and one.event.judged.verdict == SKIP
        and one.judged
        and one.judged.verdict in {TRAIN, UNKNOWN}
    ]
