"""Every trial as an MLflow run below the sweep's: written once, also when the process that ran it is dead.

Optuna's own callback loses the parent in threads, and writes nothing of a trial whose process was killed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from optuna.trial import FrozenTrial, TrialState

from steps.common.tracking import PARENT, Tracking, experiment, find_run, log_metrics, nested_run

# MLflow has no word for pruned; the tag `appraiser.state` keeps Optuna's.
STATUS: Final = {TrialState.COMPLETE: "FINISHED", TrialState.PRUNED: "KILLED", TrialState.FAIL: "FAILED"}
_KEY: Final = "appraiser.key"
_PAGE: Final = 1000


@dataclass(frozen=True)
class Line:
    """What a run below the sweep's holds: status, parameters, metrics by name and step, tags, start and end in ms."""

    key: str
    name: str
    status: str
    params: Mapping[str, object]
    metrics: Sequence[tuple[str, float, int]]
    tags: Mapping[str, str]
    began: int
    ended: int


class Children:
    """The runs below one MLflow run, each found by its key, so that none is made twice."""

    def __init__(self, tracking: Tracking, parent: str) -> None:
        self._tracking = tracking
        self._parent = parent
        self._experiment = experiment(tracking)
        self._known: dict[str, tuple[str, str]] = {}
        token = None
        while token != "":
            page = tracking.search_runs(
                [self._experiment], f"tags.`{PARENT}` = '{parent}'", max_results=_PAGE, page_token=token
            )
            for run in page:
                self._known[run.data.tags.get(_KEY, run.info.run_id)] = (run.info.run_id, run.info.status)
            token = page.token or ""

    def write(self, line: Line) -> None:
        """Write a run unless it is there whole; one that was begun and not ended is gone on with."""
        from mlflow.entities import Metric, Param

        run, status = self._known.get(line.key) or (self._begin(line), "RUNNING")
        if status == line.status:
            return
        # The same metric at the same time twice is one to MLflow.
        self._tracking.log_batch(
            run,
            [Metric(name, value, line.ended, step) for name, value, step in line.metrics],
            [Param(name, str(value)) for name, value in line.params.items()],
        )
        self._tracking.set_terminated(run, line.status, line.ended)
        self._known[line.key] = (run, line.status)

    def _begin(self, line: Line) -> str:
        tags = {PARENT: self._parent, "mlflow.runName": line.name, _KEY: line.key, **line.tags}
        return str(self._tracking.create_run(self._experiment, line.began, tags).info.run_id)


def trial_line(study: str, trial: FrozenTrial) -> Line:
    """Return an ended trial as a run."""
    metrics: list[tuple[str, float, int]] = [
        ("rmse_after_fold", value, fold) for fold, value in sorted(trial.intermediate_values.items())
    ]
    if trial.state == TrialState.COMPLETE and trial.values:
        metrics.append(("cv_rmse", float(trial.values[0]), 0))
    attributes: Mapping[str, Any] = trial.user_attrs
    if "milliseconds" in attributes:
        metrics.append(("milliseconds_per_1000_rows", float(attributes["milliseconds"]), 0))
    metrics += [("trees", float(trees), fold) for fold, trees in enumerate(attributes.get("trees", []), 1)]
    return Line(
        key=f"trial {trial.number}",
        name=f"trial {trial.number}",
        status=STATUS[trial.state],
        params=trial.params,
        metrics=metrics,
        tags={
            "appraiser.study": study,
            "appraiser.state": trial.state.name,
            "appraiser.origin": str(attributes.get("origin", "sampler")),
            "appraiser.reason": str(attributes.get("reason", "")),
        },
        began=_milliseconds(trial.datetime_start),
        ended=_milliseconds(trial.datetime_complete),
    )


def _milliseconds(time: datetime | None) -> int:
    """Return a time of Optuna's, which are local and say no zone, as MLflow counts; 0 for none."""
    return int(time.timestamp() * 1000) if time else 0


def sweep_run(tracking: Tracking, run: str, study: str) -> str:
    """Return the MLflow run of a study's sweep: below the pipeline run that began it, wherever it is gone on with."""
    key = f"sweep {study}"
    known = find_run(tracking, {_KEY: key})
    return str(known.info.run_id) if known else nested_run(tracking, run, key, "sweep")


def log_baseline(tracking: Tracking, sweep: str, kind: str, rmse: float, params: Mapping[str, object]) -> None:
    """Write a baseline as a run below the sweep's; the same again changes nothing."""
    run = nested_run(tracking, sweep, f"baseline {kind}", f"baseline: {kind}")
    log_metrics(tracking, run, {"cv_rmse": rmse}, params)
    tracking.set_terminated(run, "FINISHED")
