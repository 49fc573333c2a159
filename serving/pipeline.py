"""The pipeline as Prometheus is told of it, from what the ledger adds up to; every replica tells the same.

Moments are told as such, so that an alert says how old a thing is also when nobody watched it happen. Runs that failed
are a gauge: a cleared task may still bring one of them to its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final, get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from steps.common.step import ORDER
from steps.common.store.figures import Figures, Tally
from steps.common.store.ledger import OUTCOMES
from steps.common.store.models import EventKind
from steps.common.verdicts import QUARANTINE, SKIP, TRAIN

_VERDICTS: Final = {
    **{("validate", verdict): None for verdict in (TRAIN, SKIP, QUARANTINE)},
    **{("promote", verdict): None for verdict in ("PROMOTE", "HOLD", "REJECT", "STALE")},
}
_KINDS: Final[tuple[str, ...]] = get_args(EventKind)
# Versions whose error is told, those compared last; the champion is one of them.
_VERSIONS: Final = 20


def families(figures: Figures) -> Iterable[Metric]:
    """Yield every family."""
    yield from _steps(figures)
    yield from _decisions(figures)
    yield from _alias(figures)
    yield from _batches(figures)


def _steps(figures: Figures) -> Iterable[Metric]:
    yield _by("pipeline_step_seconds", "Time of a step's newest completion", "step", figures.step_seconds)
    failed = {step: tally.count for step, tally in figures.failed.items()}
    yield _by("pipeline_failed_runs", "Runs that ended without an outcome, by the step they stopped at", "step",
              {**dict.fromkeys(ORDER, 0), **failed})  # fmt: skip
    yield _moments("pipeline_failed_run_timestamp_seconds", "When a run that stopped at the step was newest found",
                   "step", figures.failed)  # fmt: skip
    open_step = {figures.open_step[0]: figures.open_step[1].timestamp()} if figures.open_step else {}
    yield _by("pipeline_open_step_timestamp_seconds", "Since when the newest run stands at the step",
              "step", open_step)  # fmt: skip
    idle = figures.idle_runs
    yield CounterMetricFamily("pipeline_idle_runs_total", "Runs that found nothing to do", idle.count if idle else 0)
    if idle is not None:
        yield GaugeMetricFamily("pipeline_idle_run_timestamp_seconds", "When a run last found nothing to do",
                                idle.newest_at.timestamp())  # fmt: skip


def _decisions(figures: Figures) -> Iterable[Metric]:
    verdicts = CounterMetricFamily("pipeline_verdicts_total", "Verdicts given", labels=["step", "verdict"])
    for step, verdict in _VERDICTS | dict.fromkeys(figures.verdicts):
        tally = figures.verdicts.get((step, verdict))
        verdicts.add_metric([step, verdict], tally.count if tally else 0)
    yield verdicts
    moments: dict[str, float] = {}
    for (step, _), tally in figures.verdicts.items():
        moments[step] = max(moments.get(step, 0.0), tally.newest_at.timestamp())
    yield _by("pipeline_verdict_timestamp_seconds", "When a step last gave a verdict", "step", moments)
    avoided = figures.verdicts.get(("validate", SKIP))
    yield CounterMetricFamily("pipeline_retrains_avoided_total", "Batches that needed no training",
                              avoided.count if avoided else 0)  # fmt: skip
    yield GaugeMetricFamily("pipeline_hold_streak", "HOLD verdicts since the last other one", figures.hold_streak)
    newest = islice(figures.rmse.items(), _VERSIONS)
    yield _by("model_rmse_dollars", "Error of a version on the test rows of its newest comparison", "version",
              {str(version): rmse for version, rmse in newest})  # fmt: skip


def _alias(figures: Figures) -> Iterable[Metric]:
    events = figures.alias_events
    yield _counter("pipeline_alias_events_total", "What was done to the alias", "kind", _KINDS, events)
    yield _moments("pipeline_alias_event_timestamp_seconds", "When it was last done to the alias", "kind", events)
    if figures.alias_version is not None:
        yield GaugeMetricFamily("pipeline_alias_version", "Version the ledger knows in production, 0 for none",
                                figures.alias_version)  # fmt: skip


def _batches(figures: Figures) -> Iterable[Metric]:
    ends = figures.outcomes
    yield _counter("pipeline_batches_total", "Attempts at batches that ended", "outcome", OUTCOMES, ends)
    yield _moments("pipeline_batch_timestamp_seconds", "When an attempt at a batch last ended so", "outcome", ends)
    alerts = CounterMetricFamily("pipeline_alerts_total", "Alerts raised", labels=["code"])
    for code, count in figures.alerts.items():
        alerts.add_metric([code], count)
    yield alerts
    yield _by("pipeline_batch_unseen_ratio", "Share of the newest judged batch with a value of the field never seen",
              "field", figures.measured.unseen_ratios)  # fmt: skip
    if figures.measured.refused_ratio is not None:
        yield GaugeMetricFamily("pipeline_batch_refused_ratio", "Share of the newest judged batch that is refused",
                                figures.measured.refused_ratio)  # fmt: skip


def _by(name: str, told: str, label: str, values: Mapping[str, float]) -> Metric:
    found = GaugeMetricFamily(name, told, labels=[label])
    for key, value in values.items():
        found.add_metric([key], value)
    return found


def _moments(name: str, told: str, label: str, tallies: Mapping[str, Tally]) -> Metric:
    return _by(name, told, label, {key: tally.newest_at.timestamp() for key, tally in tallies.items()})


def _counter(name: str, told: str, label: str, known: Iterable[str], tallies: Mapping[str, Tally]) -> Metric:
    found = CounterMetricFamily(name, told, labels=[label])
    for key, tally in {**dict.fromkeys(known), **tallies}.items():
        found.add_metric([key], tally.count if tally else 0)
    return found
