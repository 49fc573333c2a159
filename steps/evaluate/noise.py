"""The noise floor: how much RMSE varies by the luck of training alone.

Three fits with the candidate's parameters that differ in their seed. The seed also draws the half of the houses that
is learnt from: with all columns in every split XGBoost uses no randomness at all, and three seeds gave three times
the same model, a floor of zero. Redrawn halves show the luck of the whole (the delete-half jackknife, Shao & Wu 1989):
on 50,000 listings of the first five real batches 0.13 % of RMSE, where merely shuffling the rows gave 0.03 %.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from steps.common import booster
from steps.common.booster import Parameters
from steps.common.evidence import NoiseFloor
from steps.common.listing import SCOPE_VERSION
from steps.common.store.clean import Listings
from steps.evaluate.scores import metrics

SEEDS: Final = (11, 23, 37)
SAMPLE_ROWS: Final = 100_000
# So many times the rows, and the luck of training is about half of what it was.
_OUTGROWN: Final = 4


class NoiseNotMeasurable(Exception):
    """There are too few listings to fit on, or the fits give no error to compare."""


def measure(
    train: Listings, test: Listings, parameters: Parameters, trees: int, search_space: str, threads: int
) -> NoiseFloor:
    """Return the noise floor of a search space, from fits on at most 100,000 train rows, scored on the test rows."""
    houses = np.unique(train.property_id)
    share = min(1.0, SAMPLE_ROWS / max(1, len(train)))
    rmse: list[float] = []
    for seed in SEEDS:
        stream = np.random.default_rng(seed)
        chosen = stream.choice(houses, max(1, round(len(houses) * share / 2)), replace=False)
        half = train.take(np.isin(train.property_id, chosen))
        fitted = booster.fit(half.columns, half.price, half.bucket, parameters, trees, threads, seed)
        found = metrics(test.price, booster.prices(fitted, test.columns)).rmse
        if found is None:
            raise NoiseNotMeasurable(f"the fit with seed {seed} prices the test rows at what is not a number")
        rmse.append(found)
    return NoiseFloor(
        search_space=search_space,
        scope_version=SCOPE_VERSION,
        rows=len(half),
        seeds=SEEDS,
        rmse=tuple(rmse),
        share=float(np.std(rmse, ddof=1) / np.mean(rmse)) if any(rmse) else 0.0,
    )


def reusable(known: Any, search_space: str, train_rows: int) -> NoiseFloor | None:
    """Return a floor measured before if it is of this search space and scope, and not of far fewer rows than now.

    A first batch may be small, and the luck of training on few rows large.
    """
    if known is None:
        return None
    floor = NoiseFloor.model_validate(known)
    half = min(train_rows, SAMPLE_ROWS) / 2
    same = (floor.search_space, floor.scope_version) == (search_space, SCOPE_VERSION)
    return floor if same and half <= _OUTGROWN * floor.rows else None
