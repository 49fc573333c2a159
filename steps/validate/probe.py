"""The retrain-value probe: what a model that also learns this batch would gain, on it and on the data set after it.

The champion's parameters are fitted twice on the same number of rows: once on houses the champion's run learned from,
once with a part of them replaced by the batch's, in the proportion the data set will have. Replaced, not added: more
rows make any model better, and a redraw of the old houses, ten times as many or as few, must come out as no gain.

Both fits price the same houses: the batch's buckets 20 to 29, by which the gain is judged, and the old batches', which
tell what it costs there; never the test part. A gain is a share of RMSE. Its interval adds two kinds of luck: of the
houses priced (paired bootstrap by property, both models on the same weights), and of the rows learnt from and of
growing trees (Student's t over several pairs of fits on houses of their own, disjoint by bucket).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from steps.common.booster import Fitted, fit, prices
from steps.common.columns import Columns, Floats, joined
from steps.common.listing import BUCKETS
from steps.common.resampling import properties, resampled_sums
from steps.common.verdicts import enough_to_probe, gain_pays
from steps.validate.learnable import FIT_BUCKETS, RANKED_BUCKETS
from steps.validate.policy import Policy
from steps.validate.reason import Code, Reason

JUDGED_BUCKETS: Final = RANKED_BUCKETS
# Five, as Student's t has a closed form for four degrees of freedom, and no library of this image has it otherwise.
PAIRS: Final = 5
# Trees from which on a fit learns from fewer rows, so that the probe of a slow version takes no longer.
_TREES: Final = 300


@dataclass(frozen=True)
class Houses:
    """Priced houses of any buckets, each row with its property id."""

    columns: Columns
    price: Floats
    property_id: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.price)

    @property
    def bucket(self) -> NDArray[np.int64]:
        """Return the bucket 0 to 99 of each row's house."""
        return self.property_id % BUCKETS

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Houses:
        """Return the chosen rows, by position or by a mask."""
        return Houses(self.columns.take(rows), self.price[rows], self.property_id[rows])

    def joined(self, other: Houses) -> Houses:
        """Return these rows and those of another below them."""
        return Houses(
            joined(self.columns, other.columns),
            np.concatenate([self.price, other.price]),
            np.concatenate([self.property_id, other.property_id]),
        )


@dataclass(frozen=True)
class Recipe:
    """How a version was fitted, and on how many listings of all buckets."""

    version: int
    parameters: Mapping[str, Any]
    trees: int
    listings: int


@dataclass(frozen=True)
class Gain:
    """RMSE in dollars without and with the batch on some houses, averaged over the pairs of fits.

    `share` is the share of RMSE gained, `low` and `high` its interval; below zero is a loss.
    """

    rows: int
    houses: int
    rmse_without: float
    rmse_with: float
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class RetrainValue:
    """What learning this batch is worth; `here` is None where there are too few rows to tell.

    `rows` each fit learnt from, `batch_rows` of them are the batch's in the fit with it; `judged` houses are priced.
    `share_after` is the batch's share of the data set after it, and `after` the share of RMSE gained on that.
    """

    version: int
    pairs: int
    rows: int
    batch_rows: int
    judged: int
    share_after: float
    here: Gain | None = None
    there: Gain | None = None
    after: float | None = None


@dataclass(frozen=True)
class Short:
    """What a gain that does not pay falls short of: the rule, what was held against what, and the same in words."""

    failed: Literal["chance"] | None
    measured: float
    threshold: float
    told: str


def sampled_buckets(listings: int, rows: int) -> list[int]:
    """Return the buckets of the train part to read of a data set: as many as hold the rows to judge and to learn from.

    The first of those to judge on, and of each pair's own range; which bucket a house is in is as good as drawn by lot.
    """
    enough = max(1, math.ceil(rows * BUCKETS / max(listings, 1)))
    ranges = [JUDGED_BUCKETS, *map(_pair_buckets, range(PAIRS))]
    # One more than enough: what is out of line is left out, and buckets are not all of one size.
    return [bucket for some in ranges for bucket in some[: enough + 1]]


def _pair_buckets(pair: int) -> range:
    width = len(FIT_BUCKETS) // PAIRS
    return FIT_BUCKETS[pair * width : (pair + 1) * width]


def retrain_value(recipe: Recipe, old: Houses, new: Houses, listings: int, policy: Policy) -> RetrainValue:
    """Return what a batch of so many listings is worth to a model; `old` and `new` are of `sampled_buckets` at least.

    `old` are houses of the batches the version learnt from, `new` those of the batch.
    """
    share = listings / max(recipe.listings + listings, 1)
    learnt = [(_of_pair(old, pair, policy), _of_pair(new, pair, policy)) for pair in range(PAIRS)]
    wanted = int(policy.probe_rows * min(1.0, _TREES / max(recipe.trees, 1)))
    rows = min(wanted, *(len(mine) for mine, _ in learnt))
    batch_rows = min(round(rows * max(share, policy.probe_least_share)), *(len(theirs) for _, theirs in learnt))
    judged = [_judged(houses, policy) for houses in (new, old)]
    found = RetrainValue(recipe.version, PAIRS, rows, batch_rows, len(np.unique(judged[0].property_id)), share)
    if (
        rows < policy.probe_least_rows
        or not enough_to_probe(batch_rows, policy.new_category_rows)
        or min(len(np.unique(houses.property_id)) for houses in judged) < policy.probe_judged_houses
    ):
        return found
    pairs = [_pair(recipe, mine, theirs, rows, batch_rows, policy.seed + n) for n, (mine, theirs) in enumerate(learnt)]
    here, there = (_gain(pairs, houses, policy) for houses in judged)
    return dataclasses.replace(found, here=here, there=there, after=_after(here, there, share))


def _of_pair(houses: Houses, pair: int, policy: Policy) -> Houses:
    """Return a pair's own houses in an order drawn by lot, no more rows than a fit takes."""
    rows = np.flatnonzero(np.isin(houses.bucket, _pair_buckets(pair)))
    order = np.random.default_rng((policy.seed, pair)).permutation(len(rows))
    return houses.take(rows[order[: policy.probe_rows]])


def _judged(houses: Houses, policy: Policy) -> Houses:
    """Return the houses to judge on, a part of them where they are many: all rows of a house, or none."""
    rows = np.flatnonzero(np.isin(houses.bucket, JUDGED_BUCKETS))
    # The digits above the bucket are free; sorting by them is drawing by lot.
    lot = houses.property_id[rows] // BUCKETS % 1_000_003
    if len(rows) > policy.probe_rows:
        rows = rows[lot < np.partition(lot, policy.probe_rows)[policy.probe_rows]]
    return houses.take(rows)


def _pair(recipe: Recipe, old: Houses, new: Houses, rows: int, batch_rows: int, seed: int) -> tuple[Fitted, Fitted]:
    """Return two models fitted on so many rows each: of old houses alone, and with some replaced by the batch's."""
    places = np.arange(rows)
    without = old.take(places)
    with_it = old.take(places[: rows - batch_rows]).joined(new.take(places[:batch_rows]))
    return _fit(recipe, without, seed), _fit(recipe, with_it, seed)


def _fit(recipe: Recipe, houses: Houses, seed: int) -> Fitted:
    # Look-ups are fitted by fifths of the buckets, and a sample may have a single one: the digits above are free.
    fifths = houses.property_id // BUCKETS % BUCKETS
    return fit(houses.columns, houses.price, fifths, recipe.parameters, recipe.trees, threads=1, seed=seed)


def _gain(pairs: Sequence[tuple[Fitted, Fitted]], judged: Houses, policy: Policy) -> Gain:
    """Return what models without and with the batch make of the same houses."""
    of = properties(judged.property_id)
    # (pairs, 2, houses): squared errors of each model, summed by house.
    squared = np.array([[of.sums(_squared(model, judged)) for model in pair] for pair in pairs])
    both = squared.mean(axis=0)
    replicates = resampled_sums(both.T, policy.replicates, policy.seed)
    by_houses = float(np.var(np.log(replicates[:, 0] / replicates[:, 1]) / 2))
    total = both.sum(axis=1)
    middle = float(np.log(total[0] / total[1])) / 2
    reach = _reach(squared, by_houses, (1 + policy.confidence) / 2)
    return Gain(
        len(judged), len(of.ids), *(math.sqrt(float(one) / len(judged)) for one in total),
        *(1 - math.exp(-log) for log in (middle, middle - reach, middle + reach)),
    )  # fmt: skip


def _reach(squared: NDArray[np.float64], by_houses: float, probability: float) -> float:
    """Return how far the bounds of a gain lie from it, in logs, from squared errors of (pairs, 2, houses).

    What single houses make of single fits is luck of either kind and would be counted twice; it is left to the pairs.
    The three parts of the variance: Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1 (2007).
    """
    pairs, sums = len(squared), squared.sum(axis=2)
    by_pairs = float(np.var(np.log(sums[:, 0] / sums[:, 1]) / 2, ddof=1)) / pairs
    shares = squared / sums[:, :, None]
    influence = (shares[:, 0] - shares[:, 1]) / 2
    by_either = float(np.sum((influence - influence.mean(axis=0)) ** 2)) / (pairs * (pairs - 1))
    return math.hypot(
        math.sqrt(max(by_houses - by_either, 0.0)) * NormalDist().inv_cdf(probability),
        math.sqrt(by_pairs) * t_of_four(probability),
    )


def _squared(model: Fitted, judged: Houses) -> Floats:
    return np.asarray((prices(model, judged.columns) - judged.price) ** 2, np.float64)


def _after(here: Gain, there: Gain, share: float) -> float:
    without, with_it = (
        share * mine**2 + (1 - share) * theirs**2
        for mine, theirs in ((here.rmse_without, there.rmse_without), (here.rmse_with, there.rmse_with))
    )
    return 1 - math.sqrt(with_it / without)


def t_of_four(probability: float) -> float:
    """Return the quantile of Student's t with four degrees of freedom, in closed form.

    Source: W. T. Shaw, Sampling Student's T distribution, Journal of Computational Finance 9 (2006).
    """
    alpha = 4 * probability * (1 - probability)
    cosine = math.cos(math.acos(math.sqrt(alpha)) / 3) / math.sqrt(alpha)
    return math.copysign(2 * math.sqrt(max(cosine - 1, 0.0)), probability - 0.5)


def pays(found: RetrainValue, policy: Policy) -> bool:
    """Tell whether learning the batch would gain enough on it, by more than chance explains."""
    return found.here is not None and gain_pays(found.batch_rows, found.here.share, found.here.low, policy)


def known_gain(found: RetrainValue, policy: Policy) -> Gain | None:
    """Return the gain on the batch; None where it was not measured, or from too few of the batch's rows."""
    return found.here if enough_to_probe(found.batch_rows, policy.new_category_rows) else None


def short_of(gain: Gain, policy: Policy) -> Short:
    """Return which of the two rules a gain that does not pay breaks: it is too small, or may be chance."""
    asked = f"{policy.probe_gain:.1%}"
    if gain.share < policy.probe_gain:
        return Short(None, gain.share, policy.probe_gain, f"which is too little: a gain of {asked} is asked")
    low = f"the gain's lower bound, {gain.low:+.1%}, is not above 0%"
    return Short("chance", gain.low, 0.0, f"which reaches the {asked} asked but may be chance: {low}")


def worth(found: RetrainValue, policy: Policy) -> Reason:
    """Return what a training on the batch would gain, in words."""
    here, there = known_gain(found, policy), found.there
    if here is None or there is None or found.after is None:
        sentence = (
            f"what a training on it would gain cannot be measured: each fit has {found.rows:,} rows, "
            f"{found.batch_rows:,} of them the batch's, and {found.judged:,} of its houses are there to judge on; "
            f"{policy.probe_least_rows:,}, {policy.new_category_rows:,} and {policy.probe_judged_houses:,} are needed, "
            f"and as many houses of the batches before; not knowing is no reason to train"
        )
        return Reason(Code.PROBE_NOT_MEASURED, sentence, "batch", None, policy.probe_gain)
    short = None if pays(found, policy) else short_of(here, policy)
    held = f"{policy.probe_gain:.1%} is asked" if short is None else short.told
    sentence = (
        f"with {found.batch_rows:,} of this batch's rows in place of as many old ones, version {found.version}'s "
        f"parameters fitted on {found.rows:,} rows come to ${here.rmse_with:,.0f} instead of ${here.rmse_without:,.0f} "
        f"(RMSE, {here.houses:,} houses of the batch): {_change(here.share)} of {_interval(here)}, "
        f"{held}; on {there.houses:,} houses of the batches before {_change(there.share)} of "
        f"{_interval(there)}, on the data as it is after this batch {_change(found.after)} of {abs(found.after):.1%}"
    )
    if short is None:
        return Reason(Code.RETRAIN_PAYS, sentence, "batch", here.share, policy.probe_gain)
    return Reason(Code.RETRAIN_DOES_NOT_PAY, sentence, "batch", short.measured, short.threshold, failed=short.failed)


def _change(share: float) -> str:
    return "a gain" if share >= 0 else "a loss"


def _interval(gain: Gain) -> str:
    return f"{abs(gain.share):.1%} ({gain.low:+.1%} to {gain.high:+.1%})"
