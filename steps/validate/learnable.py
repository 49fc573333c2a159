"""Whether a batch can be learnt from at all: a quick fit on most of its houses has to rank some others by price."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from steps.common.booster import DEFAULTS, fit
from steps.common.columns import Floats
from steps.common.features import features
from steps.common.margins import margins
from steps.common.verdicts import ranks
from steps.validate.batch import Batch
from steps.validate.policy import Policy
from steps.validate.reason import Code, Reason

# Of the train part alone; the test part, buckets 0 to 19, is for judging models and nothing else.
FIT_BUCKETS: Final = range(30, 100)
RANKED_BUCKETS: Final = range(20, 30)
# Below this Spearman's rho has no interval worth the name.
_LEAST_RANKED: Final = 10


@dataclass(frozen=True)
class Learnable:
    """Spearman's rank correlation of predicted and true prices on the ranked houses, and its one-sided lower bound.

    None where there are too few rows; `ranked` counts distinct houses, since a house listed twice is ranked alike.
    """

    fitted_rows: int
    ranked: int
    rho: float | None
    low: float | None


def learnable(batch: Batch, policy: Policy) -> Learnable:
    """Fit on buckets 30 to 99 of a batch alone and rank buckets 20 to 29 of it; never the test part."""
    fitted = _some(batch, FIT_BUCKETS, policy)
    ranked = _some(batch, RANKED_BUCKETS, policy)
    houses = len(np.unique(batch.property_id[ranked]))
    if houses < _LEAST_RANKED or not len(fitted):
        return Learnable(len(fitted), houses, None, None)
    found = fit(
        batch.columns.take(fitted), batch.price[fitted], batch.bucket[fitted], DEFAULTS, policy.learnable_trees,
        threads=1, seed=policy.seed,
    )  # fmt: skip
    said = margins(found.booster, features(batch.columns.take(ranked), found.encodings))
    rho = spearman(said.astype(np.float64), batch.price[ranked])
    return Learnable(len(fitted), houses, rho, lower_bound(rho, houses, policy.learnable_confidence))


def _some(batch: Batch, buckets: range, policy: Policy) -> NDArray[np.intp]:
    """Return the positions of a batch's kept rows in some buckets, a seeded sample where they are many."""
    rows = np.flatnonzero(batch.kept & (batch.bucket >= buckets.start) & (batch.bucket < buckets.stop))
    if len(rows) <= policy.learnable_rows:
        return rows
    return np.sort(np.random.default_rng(policy.seed).choice(rows, policy.learnable_rows, replace=False))


def spearman(one: Floats, other: Floats) -> float:
    """Return Spearman's rho of two columns of numbers, ties at their mean rank; 0 where one of them is constant."""
    ranks = np.stack([_ranks(one), _ranks(other)])
    if np.ptp(ranks, axis=1).min() == 0:
        return 0.0
    return float(np.asarray(np.corrcoef(ranks))[0, 1])


def _ranks(numbers: Floats) -> Floats:
    _, place, times = np.unique(numbers, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(times) - (times - 1) / 2
    return np.asarray(mean_rank[place], np.float64)


def lower_bound(rho: float, rows: int, confidence: float) -> float:
    """Return the one-sided lower bound of Spearman's rho by Fisher's transformation.

    With the variance (1 + rho²/2) / (n - 3) of Bonett and Wright, Psychometrika 65 (2000).
    """
    spread = math.sqrt((1 + rho**2 / 2) / (rows - 3))
    reach = NormalDist().inv_cdf(confidence) * spread
    return math.tanh(math.atanh(min(max(rho, -1 + 1e-12), 1 - 1e-12)) - reach)


def not_learnable(found: Learnable, policy: Policy) -> Reason | None:
    """Return why a batch cannot be learnt from, None where it can."""
    asked = policy.learnable_rho
    if found.rho is None or found.low is None:
        sentence = (
            f"nothing can be learnt from it: {found.fitted_rows} rows to fit on and {found.ranked} houses "
            f"to rank are too few to tell"
        )
        return Reason(Code.NOT_LEARNABLE, sentence, None, None, asked)
    if ranks(found.low, policy):
        return None
    sentence = (
        f"nothing can be learnt from it: a quick model fitted on {found.fitted_rows:,} of its rows ranks "
        f"{found.ranked:,} others by price with a correlation of {found.rho:.2f} (at least {found.low:.2f}); "
        f"{asked:g} is asked"
    )
    return Reason(Code.NOT_LEARNABLE, sentence, None, found.low, asked)
