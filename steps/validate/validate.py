"""Judges a batch: what is in it, what changed, and whether that is reason enough for a training.

Plain values in, a report and a verdict out. A batch is refused for what it is (QUARANTINE); worth a training (TRAIN)
only for a reason beyond schedule and volume; else it joins the data of later trainings without one (SKIP).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from steps.common.verdicts import QUARANTINE, facts
from steps.validate.batch import Batch
from steps.validate.champion_error import ChampionError, not_worse, price_level, worse_here
from steps.validate.drift import Drift, changes, drift, new_value_limits, no_numeric_drift, too_few
from steps.validate.inputs import asked_otherwise
from steps.validate.learnable import Learnable, learnable, not_learnable
from steps.validate.look_back import LookBack, rollback_advised
from steps.validate.out_of_line import named
from steps.validate.policy import Policy
from steps.validate.probe import RetrainValue, known_gain, pays, short_of, worth
from steps.validate.reason import Code, Reason, listed
from steps.validate.reference import Reference
from steps.validate.usability import Column, Counts, columns, counts, faults


@dataclass(frozen=True)
class Report:
    """What was measured of a batch. Of one that is refused, only its rows and columns.

    `batches_before` are those it was compared with. `champion` and `retrain_value` are of the version in production
    when the verdict was given, `previous` is the one before beside the one there was when the run began; with
    `champion_unusable`, why it cannot be scored, there is none of them. `inputs` is the drift of what people have asked
    the API about since the last verdict, empty where nobody asked; the newest of it was served at `inputs_until`.
    """

    batch: int
    batches_before: tuple[int, ...]
    counts: Counts
    columns: Mapping[str, Column]
    faults: tuple[Reason, ...]
    drift: Mapping[str, Drift] | None = None
    inputs: Mapping[str, Drift] | None = None
    inputs_until: datetime | None = None
    champion: ChampionError | None = None
    champion_unusable: str | None = None
    previous: LookBack | None = None
    learnable: Learnable | None = None
    retrain_value: RetrainValue | None = None
    notes: tuple[str, ...] = ()

    def can_be_learnt(self, policy: Policy) -> bool:
        """Tell whether prices follow from houses in this batch, as far as anybody can tell."""
        return self.learnable is None or not_learnable(self.learnable, policy) is None

    def as_json(self) -> dict[str, Any]:
        """Return plain values for the ledger; JSON knows no NaN and no infinity, so those are None."""
        plain: dict[str, Any] = _plain(dataclasses.asdict(self))
        return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(held) for held in value]
    if isinstance(value, datetime):
        return value.isoformat()
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

    `champion` is the version in production, None where there is none; `forced` is an operator's wish to train. What
    the verdict rests on comes first, the heaviest first; then what a reader would ask next.
    """
    verdict = facts(report.as_json(), policy).verdict(champion=champion is not None, forced=forced)
    if verdict == QUARANTINE:
        return Decision(verdict, report.faults)
    found = not_learnable(report.learnable, policy) if report.learnable else None
    unlearnable = [found] if found else []
    reasons, told = _for_training(report, champion, policy), _told(report, champion, policy)
    told = [reason for reason in told if reason not in reasons]
    if forced:
        wish = Reason(Code.FORCED, "a training was asked for by hand (force_train)")
        return Decision(verdict, (wish, *reasons, *unlearnable, *told))
    return Decision(verdict, (*(unlearnable + reasons or [_no_reason(report, policy)]), *told))


def _for_training(report: Report, champion: int | None, policy: Policy) -> list[Reason]:
    """Return every reason to train: what changed is one only where a training on it would pay."""
    if champion is None:
        return [Reason(Code.NO_CHAMPION, "no version is in production yet")]
    if report.champion_unusable:
        sentence = (
            f"the version in production cannot price these houses, another one has to: {report.champion_unusable}"
        )
        return [Reason(Code.CHAMPION_UNUSABLE, sentence, f"version {champion}")]
    reasons = worse_here(report.champion, policy) if report.champion else []
    changed = _changed(report, policy)
    if changed and report.retrain_value and pays(report.retrain_value, policy):
        reasons += [worth(report.retrain_value, policy), *changed]
    return reasons


def _changed(report: Report, policy: Policy) -> list[Reason]:
    """Return what counts as a change: new values and drifted columns, and what like houses cost."""
    by_column = changes(report.drift, policy) if report.drift else []
    return by_column + (price_level(report.champion, policy) if report.champion else [])


def _told(report: Report, champion: int | None, policy: Policy) -> list[Reason]:
    """Return what a reader would ask next: what changed, what a training would gain, how the champion does here."""
    told: list[Reason | None] = []
    if report.drift is not None:
        told += _changed(report, policy) if champion is not None else []
        told += [*too_few(report.drift, policy), no_numeric_drift(report.drift, policy)]
    told.append(asked_otherwise(report.inputs, policy) if report.inputs else None)
    if report.champion and not worse_here(report.champion, policy):
        told.append(not_worse(report.champion, policy))
    told.append(worth(report.retrain_value, policy) if report.retrain_value else None)
    told.append(named(report.champion.out_of_line, policy) if report.champion else None)
    told += rollback_advised(report.previous, policy) if report.previous else []
    return [reason for reason in told if reason]


def _no_reason(report: Report, policy: Policy) -> Reason:
    """Return why nothing is trained on a batch: nothing changed, or what did does no damage that anybody can see."""
    changed = _changed(report, policy)
    if not changed:
        sentence = (
            f"nothing in it is new: no column drifted, and no value never seen before is on {new_value_limits(policy)}"
        )
        share, least_rows = policy.new_category_share, policy.new_category_rows
        return Reason(Code.NOTHING_CHANGED, sentence, threshold=share, least_rows=least_rows)
    names = listed([str(reason.about) for reason in changed])
    champion = report.champion.overall.ratio if report.champion else None
    wrong = "" if champion is None else f" the champion is {champion:.2f} times as wrong as on its own test part,"
    gain = known_gain(report.retrain_value, policy) if report.retrain_value else None
    if gain is None:
        sentence = (
            f"{names} changed, but without damage that is to be seen:{wrong} and what a training gains is unknown"
        )
        return Reason(Code.DRIFT_WITHOUT_DAMAGE, sentence, names, None, policy.probe_gain)
    short = short_of(gain, policy)
    sentence = (
        f"{names} changed, but without damage:{wrong} and learning the batch would change its error on it by "
        f"{-gain.share:+.1%} ({-gain.high:+.1%} to {-gain.low:+.1%}), {short.told}"
    )
    return Reason(Code.DRIFT_WITHOUT_DAMAGE, sentence, names, short.measured, short.threshold, failed=short.failed)
