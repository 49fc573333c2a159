"""A sweep and the final fit by the steps' functions, in a process of its own: `python -m tests.bench.trials PRUNER`.

PRUNER is `median`, the one tune has, or `none`. The study is in memory; MLflow is told nothing, and the two baselines
that tune measures beside its trials are left out. Settings as a step has them, batches 0 to 4 of CLEAN, one thread.
Prints one line of JSON: rows, seconds of each part by the clock and of processor time, trials by state, models grown
(one a fold), the best error in dollars, and how good the fit is.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import optuna
from optuna.trial import FrozenTrial
from sqlalchemy import Connection

from steps.common import settings
from steps.common.listing import TRAIN_BUCKETS
from steps.common.settings import Settings
from steps.common.store import clean
from steps.common.store.clean import Listings
from steps.common.store.connection import open_engine
from steps.train import train
from steps.tune import tune
from steps.tune.folds import make_folds, sample
from tests.bench.quality import quality

BATCHES: Final = range(5)
PRUNERS: Final = {"median": tune.pruner, "none": optuna.pruners.NopPruner}
_THREADS: Final = 1


def main(pruner: str, given: Settings) -> dict[str, Any]:
    """Return the figures of a sweep of as many trials as the settings say, and of the fit with its best parameters."""
    seconds: dict[str, tuple[float, float]] = {}
    with _timed(seconds, "read"):
        rows = _train_part(given)
    with _timed(seconds, "folds"):
        folds = make_folds(sample(rows), _THREADS)
    study = optuna.create_study(study_name="bench", pruner=PRUNERS[pruner](), direction="minimize")
    tune.enqueue(study, tune.first_tries(None))
    with _timed(seconds, "trials"):
        tune.sweep(study, tune.objective(folds, _THREADS), given.trials, _tell)
    best = tune.choose(study)
    with _timed(seconds, "fit"):
        fitted = train.fit(rows, best.parameters, best.trees, _THREADS)
    with _timed(seconds, "quality"), _connected(given, "clean") as in_clean, _connected(given, "raw") as in_raw:
        good = quality(fitted, in_clean, in_raw, given.needed("source_id"), BATCHES)
    trials = study.get_trials(deepcopy=False)
    states = Counter(trial.state.name for trial in trials)
    grown = sum(len(trial.user_attrs["trees"]) for trial in trials)
    return {
        "rows": len(rows), "sampled": sum(len(fold.held_out) for fold in folds), "seconds": seconds,
        "states": states, "grown": grown, "rmse": best.rmse, "trees": best.trees, "quality": good,
    }  # fmt: skip


def _tell(trial: FrozenTrial) -> None:
    """Show on standard error that something goes on: a whole sweep takes minutes."""
    error = list(trial.intermediate_values.values())[-1]
    sys.stderr.write(f"   trial {trial.number} {trial.state.name.lower()}, RMSE {error:,.0f}\n")


def _train_part(given: Settings) -> Listings:
    with _connected(given, "clean") as connection:
        return clean.read(connection, given.needed("source_id"), BATCHES, TRAIN_BUCKETS)


@contextmanager
def _connected(given: Settings, database: str) -> Iterator[Connection]:
    engine = open_engine(given, f"{database}_url")
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def _timed(seconds: dict[str, tuple[float, float]], name: str) -> Iterator[None]:
    began, used = time.perf_counter(), time.process_time()
    yield
    seconds[name] = (time.perf_counter() - began, time.process_time() - used)


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    json.dump(main(sys.argv[1], settings.read(os.environ)), sys.stdout)
