"""Cross-validation as the sweep does it: a seeded sample, folds of whole buckets, a model grown on all but one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import xgboost
from numpy.typing import NDArray

from steps.common.booster import Parameters, train_matrix, xgboost_parameters
from steps.common.columns import Floats
from steps.common.features import FEATURES, Matrix, features, fit_encodings, training_features
from steps.common.store.clean import Listings

FOLDS: Final = 3
# On the first five real batches 120,000 rows rank parameters as 200,000 do, in half the time.
SAMPLE_ROWS: Final = 120_000
SEED: Final = 20_260
# A model that has not got better for so many trees will not.
PATIENCE: Final = 20
MOST_TREES: Final = 400


class TooFewHouses(Exception):
    """The train part has fewer buckets than a cross-validation has folds."""


@dataclass(frozen=True)
class Fold:
    """Rows to learn from and held-out rows to price, with features as a model would see them: float32 matrices."""

    train: Matrix
    train_price: Floats
    held_out: Matrix
    held_out_price: Floats
    train_rows: xgboost.QuantileDMatrix
    held_out_rows: xgboost.QuantileDMatrix


@dataclass(frozen=True)
class Grown:
    """A booster cut at its best tree count, and its RMSE in dollars on the held-out rows."""

    booster: xgboost.Booster
    trees: int
    rmse: float


def sample(listings: Listings, rows: int = SAMPLE_ROWS) -> Listings:
    """Return at most so many listings, in their order; the same ones each time."""
    if len(listings) <= rows:
        return listings
    chosen = np.random.default_rng(SEED).choice(len(listings), rows, replace=False)
    return listings.take(np.sort(chosen))


def make_folds(listings: Listings, threads: int) -> list[Fold]:
    """Return the folds; all rows of a bucket, hence of a house, are in the same one. Raises TooFewHouses."""
    buckets, place = np.unique(listings.bucket, return_inverse=True)
    if len(buckets) < FOLDS:
        raise TooFewHouses(f"{len(listings)} listings in {len(buckets)} buckets cannot make {FOLDS} folds")
    return [_fold(listings, place % FOLDS == number, threads) for number in range(FOLDS)]


def _fold(listings: Listings, out: NDArray[np.bool_], threads: int) -> Fold:
    rest, held = listings.take(~out), listings.take(out)
    train = training_features(rest.columns, rest.price, rest.bucket)
    held_out = features(held.columns, fit_encodings(rest.columns, rest.price))
    rows = train_matrix(train, rest.price, threads)
    priced = xgboost.QuantileDMatrix(
        held_out, held.price, feature_names=list(FEATURES), ref=rows, nthread=threads, max_bin=rows.max_bin
    )
    return Fold(train, rest.price, held_out, held.price, rows, priced)


def grow(fold: Fold, parameters: Parameters, threads: int) -> Grown:
    """Grow a model on a fold until its held-out error stops falling."""
    booster = xgboost.train(
        {
            **xgboost_parameters(parameters, float(fold.train_price.mean()), threads, SEED),
            "eval_metric": "rmse",
        },
        fold.train_rows,
        MOST_TREES,
        evals=[(fold.held_out_rows, "held_out")],
        early_stopping_rounds=PATIENCE,
        verbose_eval=False,
    )
    trees = booster.best_iteration + 1
    return Grown(booster[:trees], trees, float(booster.best_score))


def pooled(rmse: Sequence[float], folds: Sequence[Fold]) -> float:
    """Return the RMSE over the held-out rows of several folds together."""
    rows = [len(fold.held_out_price) for fold in folds[: len(rmse)]]
    return float(np.sqrt(np.average(np.square(rmse), weights=rows)))
