"""Two models nobody tuned, on the sweep's own folds: what the chosen kind of model has to be better than.

A ridge regression shows what straight lines through the same features reach, XGBoost as it comes what its parameters
are worth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import xgboost

from steps.common.booster import BINS
from steps.common.columns import Floats
from steps.tune.folds import SEED, Fold, pooled

_PENALTY: Final = 1.0
_TREES: Final = 100


def ridge(fold: Fold, threads: int) -> Floats:
    """Return a ridge regression's prices of a fold's held-out rows: standardised features, penalty 1."""
    del threads
    centre, spread = fold.train.mean(axis=0, dtype=np.float64), fold.train.std(axis=0, dtype=np.float64)
    spread[spread == 0] = 1.0
    known = (fold.train - centre) / spread
    mean = fold.train_price.mean()
    normal = known.T @ known + _PENALTY * np.eye(known.shape[1])
    slopes = np.linalg.solve(normal, known.T @ (fold.train_price - mean))
    prices: Floats = (fold.held_out - centre) / spread @ slopes + mean
    return prices


def untuned(fold: Fold, threads: int) -> Floats:
    """Return the prices of XGBoost with its own defaults: squared error, 100 trees of depth 6."""
    parameters = {"tree_method": "hist", "max_bin": BINS, "nthread": threads, "seed": SEED}
    booster = xgboost.train(parameters, fold.train_rows, _TREES)
    return np.asarray(booster.predict(fold.held_out_rows), np.float64)


BASELINES: Final[Mapping[str, tuple[Callable[[Fold, int], Floats], Mapping[str, Any]]]] = {
    "ridge": (ridge, {"penalty": _PENALTY}),
    "untuned xgboost": (untuned, {"trees": _TREES, "objective": "reg:squarederror"}),
}


def rmse(model: Callable[[Fold, int], Floats], folds: Sequence[Fold], threads: int) -> float:
    """Return a baseline's RMSE in dollars over all held-out rows."""
    errors = [float(np.sqrt(np.mean((model(fold, threads) - fold.held_out_price) ** 2))) for fold in folds]
    return pooled(errors, folds)
