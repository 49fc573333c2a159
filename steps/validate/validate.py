"""Judges a batch: what is in it, what changed, and whether that is reason enough for a training.

Plain values in, a report and a verdict out. A batch is refused for what it is (QUARANTINE); worth a training (TRAIN)
only for a reason beyond schedule and volume; else it joins the data of later trainings without one (SKIP).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from steps.validate.batch import Batch
from steps.validate.champion_error import Beside, ChampionError, not_worse, worse_here
from steps.validate.drift import Drift, changes, drift, no_numeric_drift
from steps.validate.learnable import Learnable, learnable, not_learnable
from steps.validate.policy import Policy
from steps.validate.reason import Code, Reason
from steps.validate.reference import Reference
from steps.validate.usability import Column, Counts, columns, counts, faults

TRAIN: Final = "TRAIN"
SKIP: Final = "SKIP"
QUARANTINE: Final = "QUARANTINE"


@dataclass(frozen=True)
class Report:
    """What was measured of a batch. Of one that is refused, only its rows and columns.

    `batches_before` are those it was compared with. `retrain_value`, what a training on this batch would gain, is not
    measured yet, and says so in the verdict.
    """

    batch: int
    batches_before: tuple[int, ...]
    counts: Counts
    columns: Mapping[str, Column]
    faults: tuple[Reason, ...]
    drift: Mapping[str, Drift] | None = None
    champion: ChampionError | None = None
    previous: Beside | None = None
    learnable: Learnable | None = None
    retrain_value: None = None
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return plain values for the ledger; JSON knows no NaN and no infinity, so those are None."""
        plain: dict[str, Any] = _plain(dataclasses.asdict(self))
        return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(held) for held in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True)
class Decision:
    """A verdict with its reasons, the one that weighs most first."""

    verdict: str
    reasons: tuple[Reason, ...]


def look(batch: Batch, reference: Reference | None, policy: Policy) -> Report:
    """Return what can be said of a batch without any model: whether it is usable, and what changed where it is."""
    in_rows, by_column = counts(batch, reference), columns(batch)
    wrong = faults(batch, in_rows, by_column, reference, policy)
    report = Report(batch.number, reference.batches if reference else (), in_rows, by_column, tuple(wrong))
    if wrong:
        return report
    changed = drift(batch, reference, policy) if reference else None
    return dataclasses.replace(report, drift=changed, learnable=learnable(batch, policy))


def decide(report: Report, *, champion: int | None, forced: bool, policy: Policy) -> Decision:
    """Return the verdict on a batch from its report.

    `champion` is the version in production, None where there is none; `forced` is an operator's wish to train.
    """
    if report.faults:
        return Decision(QUARANTINE, report.faults)
    reasons = _for_training(report, champion, policy)
    unlearnable = not_learnable(report.learnable, policy) if report.learnable else None
    calm = [] if report.drift is None else [no_numeric_drift(report.drift, policy)]
    calm += [not_worse(report.champion, policy)] if report.champion and not worse_here(report.champion, policy) else []
    told = [reason for reason in (unlearnable, *calm) if reason]
    if forced:
        wish = Reason(Code.FORCED, "a training was asked for by hand (force_train)")
        return Decision(TRAIN, (wish, *reasons, *told))
    if unlearnable:
        others = [reason for reason in reasons if reason.code is not Code.PROBE_NOT_MEASURED]
        return Decision(SKIP, (unlearnable, *others, *told[1:]))
    if reasons:
        return Decision(TRAIN, (*reasons, *told))
    sentence = f"no column drifted, and no value never seen before is on {policy.new_category_share:.0%} of the rows"
    return Decision(SKIP, (Reason(Code.NOTHING_CHANGED, f"nothing in it is new: {sentence}"), *told))


def _for_training(report: Report, champion: int | None, policy: Policy) -> list[Reason]:
    if champion is None:
        return [Reason(Code.NO_CHAMPION, "no version is in production yet")]
    worse = worse_here(report.champion, policy) if report.champion else []
    changed = changes(report.drift, policy) if report.drift else []
    if changed:
        sentence = "whether a training on it would pay is not measured, so what changed is reason enough"
        changed = [*changed, Reason(Code.PROBE_NOT_MEASURED, sentence)]
    return worse + changed
