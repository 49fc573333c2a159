"""What validate would have said of a batch under other thresholds, as far as the report it stored can tell.

The rules are those validate decides by. Its report holds what was measured, so what is only held against a threshold
can be held against another. What changes a measurement itself (a confidence, a sample, a seed, the factor of a median,
whose interval is not stored) cannot; nor is anything measured of another champion, or known of a verdict that these
rules do not repeat under its own policy: that is UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from steps.common.store.ledger import Verdict
from steps.common.thresholds import Measuring, Thresholds
from steps.common.verdicts import QUARANTINE, Facts, enough_to_probe, facts

UNKNOWN: Final = "unknown"

# Thresholds that a stored report can be held against, and all there are.
HELD_AGAINST: Final = frozenset(Thresholds.model_fields)
THRESHOLDS: Final = HELD_AGAINST | Measuring.model_fields.keys()
# Those of faults whose figures are not stored: with others of them nobody can tell whether a batch was usable.
UNSTORED_FAULTS: Final = frozenset({"median_factor", "median_confidence", "copy_share", "copy_correlation"})
_OTHER_RULES: Final = "it was decided by other rules than those known here"


@dataclass(frozen=True)
class Redecided:
    """A verdict under another policy, and why it is that one, or why nobody knows."""

    verdict: str
    why: str = ""


def rejudge(
    stored: Verdict, changed: Mapping[str, float], *, forced: bool, actual: int | None, champion: int | None
) -> Redecided:
    """Return validate's verdict with some thresholds changed, were `champion` served and not `actual`; None is none."""
    policy = {**stored.policy, **changed}
    differing = {name for name, value in changed.items() if stored.policy.get(name) != value}
    if not differing and champion == actual:
        return Redecided(stored.verdict)
    if beyond := sorted(differing - HELD_AGAINST):
        return Redecided(UNKNOWN, f"the report was measured with {', '.join(beyond)} as it was")
    before, after = _facts(stored.report, stored.policy), _facts(stored.report, policy)
    if before is None or after is None:
        return Redecided(UNKNOWN, _OTHER_RULES)
    possible, unmeasured = {after}, ""
    if champion not in {actual, None}:
        possible, unmeasured = _of_anybody(after), f"how version {champion} does on this batch was not measured"
    elif _probe_unknown(stored, policy):
        possible |= {replace(after, pays=True)}
        unmeasured = "what a training gains was not measured with so few of the batch's rows"
    whoever = forced or stored.verdict == QUARANTINE
    if (before == after and whoever) or (champion == actual and possible == {before}):
        return Redecided(stored.verdict)
    if before.verdict(champion=actual is not None, forced=forced) != stored.verdict or _grown(stored.policy):
        return Redecided(UNKNOWN, _OTHER_RULES)
    verdicts = {one.verdict(champion=champion is not None, forced=forced) for one in possible}
    if before.unusable and not after.unusable:
        verdicts, unmeasured = set(), "the batch was refused, so nothing else of it was measured"
    told = "there would have been no champion yet" if champion is None else _told(after)
    return Redecided(verdicts.pop(), told) if len(verdicts) == 1 else Redecided(UNKNOWN, unmeasured)


def _grown(policy: Mapping[str, Any]) -> bool:
    # Such rules decide from more than the facts known here.
    return not policy.keys() <= THRESHOLDS


def _facts(report: Mapping[str, Any], policy: Mapping[str, Any]) -> Facts | None:
    """Return what a stored report says under a policy; None where either is of a time with other rules."""
    try:
        # As they are: validate has checked its own, and a question may ask for one that validate would not take.
        return facts(report, Thresholds.model_construct(**{name: policy[name] for name in HELD_AGAINST}))
    except KeyError:
        return None


def _of_anybody(found: Facts) -> set[Facts]:
    """Return the worst and the best that a champion of which nothing was measured can be."""
    best = replace(found, champion_unusable=False, champion_worse=False, dearer_or_cheaper=False, pays=False)
    return {best, replace(best, champion_unusable=True)}


def _probe_unknown(stored: Verdict, policy: Mapping[str, Any]) -> bool:
    """Tell whether the probe was not made for want of rows that are enough under this policy."""
    value = stored.report["retrain_value"]
    if value is None or value["here"] is not None:
        return False
    return not enough_to_probe(value["batch_rows"], stored.policy["new_category_rows"]) and enough_to_probe(
        value["batch_rows"], policy["new_category_rows"]
    )


def _told(found: Facts) -> str:
    """Return what holds, in words."""
    said = {
        "the batch cannot be used": found.unusable,
        "nothing can be learnt from it": found.not_learnable,
        "the champion cannot price it": found.champion_unusable,
        "the champion is worse on it": found.champion_worse,
        "it differs from all before": found.changed,
        "a training on it pays": found.changed and found.pays,
        "a training on it does not pay": found.changed and not found.pays,
    }
    return " and ".join(words for words, holds in said.items() if holds) or "nothing in it is new"
