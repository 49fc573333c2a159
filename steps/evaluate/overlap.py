"""Which houses of two draws are alike: how much likelier a house is now than before, and the error to expect of it.

Both are boosted trees that know everything about a house but its price, and both are cross-fitted: what is said of a
house comes from trees that have seen neither it nor a twin of it (Chernozhukov et al. 2018). The first is a domain
classifier, whose odds are the ratio of the densities (Bickel, Brückner & Scheffer 2009). As many trees are used as
serve the held-out houses best; where the draws do not differ that is one, and every ratio is near one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xgboost
from numpy.typing import NDArray

from steps.common.bundle import Bundle
from steps.common.columns import NUMBERS, Columns, Floats
from steps.common.features import FEATURES, Matrix, features

SEED: Final = 20_230
FOLDS: Final = 3
_TREES: Final = 150
_PATIENCE: Final = 10
# Every fit sees at most so many rows of a side; beyond, the ratio is no longer what limits the answer.
_ROWS_OF_A_SIDE: Final = 40_000
_TREE: Final[dict[str, Any]] = {
    "tree_method": "hist", "max_depth": 4, "eta": 0.1, "subsample": 0.8, "nthread": 1, "seed": SEED, "verbosity": 1,
}  # fmt: skip
_CLASSIFIER: Final = {**_TREE, "objective": "binary:logistic", "eval_metric": "logloss", "base_score": 0.5}
# Squared errors are many small ones and a few huge: a Tweedie loss between Poisson and gamma is not led by those few.
_POWER: Final = 1.5
_REGRESSION: Final = {
    **_TREE, "objective": "reg:tweedie", "tweedie_variance_power": _POWER, "eval_metric": f"tweedie-nloglik@{_POWER}",
}  # fmt: skip
# A leaf rests on at least so many rows.
_LEAF_ROWS: Final = 20
# Below this a squared error is that of a price to the cent, and nothing to learn from.
_LEAST: Final = 1e-9

Mask = NDArray[np.bool_]
# Second derivative of the logistic loss at even odds, by which XGBoost counts rows.
_CURVATURE: Final = 0.25


@dataclass(frozen=True)
class Overlap:
    """Of every row: density now over density before, and the squared error (dollars²) that a model had on its like."""

    ratio: Floats
    expected: Floats


def known_to(model: Bundle, columns: Columns) -> Matrix:
    """Return all that a model knows of some houses: its features, missing numbers as NaN, and what it says in logs."""
    found = features(columns, model.encodings)
    for name in NUMBERS:
        found[np.isnan(columns.numbers[name]), FEATURES.index(name)] = np.nan
    return np.column_stack([found, model.margins(columns)])


def folds(property_id: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the fold of every row; rows of one house are in one fold."""
    houses, place = np.unique(property_id, return_inverse=True)
    drawn: NDArray[np.int64] = np.random.default_rng(SEED).permutation(len(houses))[place] % FOLDS
    return drawn


def measure(matrix: Matrix, new: Mask, squared: Floats, fold: NDArray[np.int64]) -> Overlap:
    """Return the overlap of the new rows with the others, whose squared errors tell what is to be expected.

    `matrix` is that of `known_to`. The same input gives the same output.
    """
    # Both sides count the same in all, so that the odds are the ratio of the densities; the smaller one's rows are 1.
    count = np.array([np.sum(~new), np.sum(new)], np.float64)
    weight = (count.min() / count)[new.astype(np.intp)]
    chosen = _at_most(new)
    leaf = {"min_child_weight": _LEAF_ROWS * _CURVATURE, "reg_lambda": _LEAF_ROWS * _CURVATURE}
    margin = _cross_fitted({**_CLASSIFIER, **leaf}, matrix, new.astype(np.float64), weight, chosen, fold)
    scale = max(float(squared[~new].mean()), _LEAST)
    # At the mean, which is 1 after scaling, a row's second derivative is 1 whatever the power.
    leaf = {"min_child_weight": _LEAF_ROWS, "reg_lambda": _LEAF_ROWS, "base_score": 1.0}
    one = np.ones(len(new))
    log_expected = _cross_fitted({**_REGRESSION, **leaf}, matrix, squared / scale, one, chosen & ~new, fold)
    return Overlap(np.exp(margin), scale * np.exp(log_expected))


def _at_most(new: Mask) -> Mask:
    """Return which rows are learnt from: of each side at most so many, the same ones each time."""
    stream = np.random.default_rng(SEED)
    chosen = np.zeros(len(new), np.bool_)
    for side in (~new, new):
        chosen[stream.permutation(np.flatnonzero(side))[:_ROWS_OF_A_SIDE]] = True
    return chosen


def _cross_fitted(
    parameters: dict[str, Any], matrix: Matrix, target: Floats, weight: Floats, learn: Mask, fold: NDArray[np.int64]
) -> Floats:
    """Return each row's margin from trees fitted on the rows to learn from that are not in its fold."""
    boosters, losses = [], []
    for number in range(FOLDS):
        seen, held_out = (learn & side for side in (fold != number, fold == number))
        rows = xgboost.QuantileDMatrix(matrix[seen], target[seen], weight=weight[seen], nthread=1)
        check = xgboost.QuantileDMatrix(
            matrix[held_out], target[held_out], weight=weight[held_out], nthread=1, ref=rows
        )
        history: dict[str, dict[str, list[float]]] = {}
        boosters.append(
            xgboost.train(
                parameters, rows, _TREES, evals=[(check, "held_out")], evals_result=history, verbose_eval=False,
                early_stopping_rounds=_PATIENCE,
            )
        )  # fmt: skip
        losses.append(next(iter(history["held_out"].values())))
    shortest = min(map(len, losses))
    trees = int(np.argmin(np.mean([loss[:shortest] for loss in losses], axis=0))) + 1
    margins = np.zeros(len(matrix))
    for number, booster in enumerate(boosters):
        mine = fold == number
        margins[mine] = booster.inplace_predict(
            matrix[mine], iteration_range=(0, trees), predict_type="margin", validate_features=False
        )
    return margins
