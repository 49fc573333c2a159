"""Fits the boosted trees: one definition of what a model's parameters mean, for tuning, training and refits.

Parameters are plain values with meanings of their own; here they become XGBoost's. The objective has a log link, so
the margin is the log of the price, contributions add up in it, and no retransformation is needed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xgboost
from numpy.typing import NDArray

from steps.common.columns import Columns, Floats
from steps.common.features import FEATURES, Encodings, Matrix, features, fit_encodings, training_features
from steps.common.margins import margins

Parameters = Mapping[str, Any]

# What is used where nothing was tuned, and what every sweep tries first: the best of grouped cross-validation on the
# first five real batches.
DEFAULTS: Final[Parameters] = {
    "variance_power": 1.2,
    "depth": 8,
    "learning_rate": 0.12,
    "leaf_rows": 20.0,
    "l2_rows": 20.0,
    "column_share": 0.7,
}
# A Tweedie distribution of variance power 2 is the gamma distribution, which XGBoost wants named.
GAMMA: Final = 2.0
BINS: Final = 256
_TIMED_ROWS: Final = 1000
# Busy neighbours slow a machine for a while, not for ever: as long as this is gone on measuring, in processor time.
_PATIENCE_NANOSECONDS: Final = 500_000_000


@dataclass(frozen=True)
class Fitted:
    """A booster and the look-ups its features come from; neither is of use without the other."""

    booster: xgboost.Booster
    encodings: Encodings


def xgboost_parameters(parameters: Parameters, mean_price: float, threads: int, seed: int) -> dict[str, Any]:
    """Return XGBoost's own parameters.

    `leaf_rows` and `l2_rows` count rows. XGBoost counts second derivatives instead, and under a Tweedie loss with
    variance power p a row at the mean price μ has μ^(2-p), some 20,000: a `min_child_weight` of 20 would do nothing.
    """
    power = float(parameters["variance_power"])
    curvature = mean_price ** (2 - power)
    tweedie = {"objective": "reg:tweedie", "tweedie_variance_power": power}
    return {
        **(tweedie if power < GAMMA else {"objective": "reg:gamma"}),
        "max_depth": int(parameters["depth"]),
        "eta": float(parameters["learning_rate"]),
        "min_child_weight": float(parameters["leaf_rows"]) * curvature,
        "reg_lambda": float(parameters["l2_rows"]) * curvature,
        "colsample_bynode": float(parameters["column_share"]),
        "base_score": mean_price,
        "tree_method": "hist",
        "max_bin": BINS,
        "nthread": threads,
        "seed": seed,
        "verbosity": 1,
    }


def train_matrix(matrix: Matrix, price: Floats, threads: int) -> xgboost.QuantileDMatrix:
    """Return rows in the form that trees are grown from."""
    return xgboost.QuantileDMatrix(matrix, price, feature_names=list(FEATURES), nthread=threads, max_bin=BINS)


def fit(
    columns: Columns, price: Floats, bucket: NDArray[np.int64], parameters: Parameters, trees: int, threads: int,
    seed: int,
) -> Fitted:  # fmt: skip
    """Fit a model of so many trees on listings and their prices in dollars; the same input gives the same model."""
    rows = train_matrix(training_features(columns, price, bucket), price, threads)
    booster = xgboost.train(xgboost_parameters(parameters, float(price.mean()), threads, seed), rows, trees)
    return Fitted(booster, fit_encodings(columns, price))


def prices(fitted: Fitted, columns: Columns) -> Floats:
    """Return what a fit says of houses, in dollars and not rounded: for fits that never become a version."""
    found: Floats = np.exp(margins(fitted.booster, features(columns, fitted.encodings)).astype(np.float64))
    return found


def milliseconds(booster: xgboost.Booster, matrix: Matrix, enough: float = 0.0) -> float:
    """Return the least processor time in ms in which a booster prices 1,000 rows on one thread.

    The least of many, since what else the machine does can only make it longer; stops at the first that is no more
    than `enough`. Fewer rows are repeated to 1,000.
    """
    rows = np.ascontiguousarray(np.resize(matrix, (_TIMED_ROWS, matrix.shape[1])))
    booster.set_param({"nthread": 1})
    least, spent = float("inf"), 0
    while spent < _PATIENCE_NANOSECONDS:
        began = time.thread_time_ns()
        margins(booster, rows)
        took = time.thread_time_ns() - began
        least, spent = min(least, took / 1e6), spent + took
        if least <= enough:
            break
    return least
