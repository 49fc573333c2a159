"""What validate would have said of a batch under other thresholds, as far as the report it stored can tell.

validate's own code is not in this image. Its report holds what was measured, so what is only held against a threshold
can be held against another: the shares of refused and malformed rows, PSI and its chance, new values, the lower
bounds of the champion's ratios and of the rank correlation. What changes a measurement itself (a confidence, a sample,
a seed, the factor of a median, whose interval is not stored) cannot, and neither can a verdict that these rules do not
repeat under its own policy: that is UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from steps.common.store.ledger import Verdict

TRAIN: Final = "TRAIN"
SKIP: Final = "SKIP"
QUARANTINE: Final = "QUARANTINE"
UNKNOWN: Final = "unknown"

# Thresholds that a stored report can be held against.
HELD_AGAINST: Final = frozenset({
    "refused_share", "malformed_share", "psi", "new_category_share", "new_category_rows", "champion_ratio",
    "champion_slice_ratio", "learnable_rho",
})  # fmt: skip
# Those of a fault whose figures are not stored: with others of them nobody can tell whether a batch was usable.
UNIT_CHANGE: Final = frozenset({"median_factor", "median_confidence"})
# And those that changed a measurement. A policy with others was decided from by rules that are not these.
_MEASURED_WITH: Final = UNIT_CHANGE | frozenset({
    "psi_confidence", "slice_share", "judged_rows", "confidence", "scored_rows",
    "replicates", "learnable_confidence", "learnable_rows", "learnable_trees", "seed",
})  # fmt: skip
THRESHOLDS: Final = HELD_AGAINST | _MEASURED_WITH
# Faults that the report holds figures of; others stay where they were found.
_FAULTS_WITH_FIGURES: Final = frozenset({"TOO_MANY_REFUSED", "COLUMN_MALFORMED"})


@dataclass(frozen=True)
class Redecided:
    """A verdict under another policy, and why it is that one, or why nobody knows."""

    verdict: str
    why: str = ""


@dataclass(frozen=True)
class _Facts:
    """What validate decides from, each held against its threshold."""

    unusable: bool
    not_learnable: bool
    champion_worse: bool
    changed: bool

    def verdict(self, *, champion: bool, forced: bool) -> str:
        """Return the verdict: `champion` is whether there was one, `forced` an operator's wish to train."""
        if self.unusable:
            return QUARANTINE
        if forced:
            return TRAIN
        if self.not_learnable:
            return SKIP
        return TRAIN if self.champion_worse or self.changed or not champion else SKIP

    def told(self) -> str:
        """Return what holds, in words."""
        said = {
            "the batch cannot be used": self.unusable,
            "nothing can be learnt from it": self.not_learnable,
            "the champion is worse on it": self.champion_worse,
            "it differs from all before": self.changed,
        }
        return " and ".join(words for words, holds in said.items() if holds) or "nothing in it is new"


def rejudge(
    stored: Verdict, changed: Mapping[str, float], *, forced: bool, actual: int | None, champion: int | None
) -> Redecided:
    """Return validate's verdict with some thresholds changed, were `champion` served and not `actual`; None is none.

    The champion's own error on the batch is stored for the actual one alone.
    """
    policy = {**stored.policy, **changed}
    differing = {name for name, value in changed.items() if stored.policy.get(name) != value}
    if not differing and champion == actual:
        return Redecided(stored.verdict)
    if beyond := sorted(differing - HELD_AGAINST):
        return Redecided(UNKNOWN, f"the report was measured with {', '.join(beyond)} as it was")
    before, after = _facts(stored.report, stored.policy), _facts(stored.report, policy)
    if before == after and (champion == actual or _whoever(stored.verdict, before, actual, forced)):
        return Redecided(stored.verdict)
    # Rules that have grown decide from more than these facts.
    repeated = before.verdict(champion=actual is not None, forced=forced) == stored.verdict
    if not repeated or not stored.policy.keys() <= THRESHOLDS:
        return Redecided(UNKNOWN, "it was decided by other rules than those known here")
    if before.unusable and not after.unusable:
        return Redecided(UNKNOWN, "the batch was refused, so nothing else of it was measured")
    return _with_champion(after, champion, forced, measured=champion in {actual, None})


def _whoever(verdict: str, facts: _Facts, actual: int | None, forced: bool) -> bool:
    """Tell whether a verdict did not rest on who the champion was."""
    if verdict == SKIP:
        return facts.not_learnable
    return verdict == QUARANTINE or forced or (actual is not None and not facts.champion_worse)


def _with_champion(facts: _Facts, champion: int | None, forced: bool, *, measured: bool) -> Redecided:
    """Return the verdict; where the champion's error is not measured, only if it is the same whatever that is."""
    worse = {facts.champion_worse and champion is not None} if measured else {True, False}
    possible = {
        replace(facts, champion_worse=one).verdict(champion=champion is not None, forced=forced) for one in worse
    }
    if len(possible) > 1:
        return Redecided(UNKNOWN, f"how wrong version {champion} is on this batch was not measured")
    return Redecided(possible.pop(), "there would have been no champion yet" if champion is None else facts.told())


def _facts(report: Mapping[str, Any], policy: Mapping[str, Any]) -> _Facts:
    learnable, low = report.get("learnable"), (report.get("learnable") or {}).get("low")
    return _Facts(
        unusable=any(_faults(report, policy)),
        not_learnable=learnable is not None and not (low is not None and low > policy["learnable_rho"]),
        champion_worse=any(_worse(report.get("champion"), policy)),
        changed=any(_changes(report.get("drift") or {}, policy)),
    )


def _faults(report: Mapping[str, Any], policy: Mapping[str, Any]) -> Iterator[bool]:
    counts = report["counts"]
    yield (counts["refused"] / counts["rows"] if counts["rows"] else 1.0) > policy["refused_share"]
    for column in report["columns"].values():
        yield column["malformed_share"] > policy["malformed_share"]
    for fault in report["faults"]:
        yield fault["code"] not in _FAULTS_WITH_FIGURES


def _worse(champion: Mapping[str, Any] | None, policy: Mapping[str, Any]) -> Iterator[bool]:
    if champion is None:
        return
    whole = champion["overall"]
    yield _above(whole["low"], policy["champion_ratio"])
    limit = policy["champion_slice_ratio"] * max(1.0, whole["ratio"] or 1.0)
    for one in champion["slices"]:
        yield one["by"] == "state" and _above(one["low"], limit)


def _changes(drift: Mapping[str, Any], policy: Mapping[str, Any]) -> Iterator[bool]:
    for one in drift.values():
        yield one["psi"] >= policy["psi"] + one["chance"]
        for new in one["new_values"]:
            yield new["share"] >= policy["new_category_share"] and new["rows"] >= policy["new_category_rows"]


def _above(value: float | None, limit: float) -> bool:
    return value is not None and value > limit
