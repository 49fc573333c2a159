"""How wrong the champion is on this batch, beside how wrong it is on its own test part.

Both on houses of the test buckets alone: the champion has never seen one of them, wherever it was listed before. The
ratio of the two RMSE has an interval from a bootstrap that resamples houses, in 500 groups a house belongs to by its
property id: a house listed twice is drawn twice, and 1,000 replicates of 50,000 rows cost milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from steps.common.columns import Category, Columns, Floats
from steps.common.listing import BUCKETS, TEST_BUCKETS
from steps.common.verdicts import above, level_moved, state_limit
from steps.validate.batch import Mask
from steps.validate.out_of_line import OutOfLine, out_of_line
from steps.validate.policy import Policy
from steps.validate.reason import Code, Reason, listed, shown
from steps.validate.usability import median_interval

GROUPS: Final = 500
_BAND_EDGES: Final = (100_000.0, 200_000.0, 300_000.0, 500_000.0, 1_000_000.0)
_BANDS: Final = ("to 100k", "100k to 200k", "200k to 300k", "300k to 500k", "500k to 1m", "from 1m")


class Champion(Protocol):
    """A model version that prices houses."""

    @property
    def version(self) -> int:
        """Return its number in the registry."""

    def prices(self, columns: Columns) -> Floats:
        """Return what it says each listing costs, in dollars."""


@dataclass(frozen=True)
class Scored:
    """Houses with their price and what a model says they cost, in dollars; all of one length."""

    price: Floats
    said: Floats
    property_id: NDArray[np.int64]
    state: Category

    def __len__(self) -> int:
        return len(self.price)

    def take(self, rows: Mask) -> Scored:
        """Return the rows of a mask."""
        return Scored(self.price[rows], self.said[rows], self.property_id[rows], self.state.take(rows))


@dataclass(frozen=True)
class Comparison:
    """RMSE in dollars of one model on some houses of the batch and on the like of its own test part.

    `ratio` is the one over the other, `low` and `high` its one-sided bounds; None where there are too few rows.
    `own` names the houses it stands beside: the same state or band, or `all` where it has seen too few of them.
    `price_factor` is the median of price over what the model said.
    """

    by: str
    value: str
    rows: int
    rmse: float
    own: str
    own_rows: int
    own_rmse: float
    ratio: float | None
    low: float | None
    high: float | None
    price_factor: float


@dataclass(frozen=True)
class PriceLevel:
    """What like houses cost here: the median of price over what the version says, over that on its own test part.

    `own` is that on its own part alone; `low` and `high` are bounds, None where there are too few rows.
    """

    factor: float
    own: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class ChampionError:
    """A version's error on a batch: over all of it, then by state and by price band; prices out of line left out."""

    version: int
    overall: Comparison
    slices: tuple[Comparison, ...]
    out_of_line: OutOfLine
    level: PriceLevel


@dataclass(frozen=True)
class _Side:
    """One side of the comparison, slice by slice: rows, RMSE, and the logs of its bootstrap replicates."""

    slices: NDArray[np.intp]
    rows: NDArray[np.int64]
    rmse: Floats
    log_replicates: Floats


def scored_buckets(rows: int, policy: Policy) -> range:
    """Return as many test buckets as hold the rows to score at most, out of all rows of all buckets; at least one.

    Which bucket a house is in is as good as drawn by lot.
    """
    return range(min(max(policy.scored_rows * BUCKETS // max(rows, 1), 1), len(TEST_BUCKETS)))


def score(model: Champion, columns: Columns, price: Floats, property_id: NDArray[np.int64]) -> Scored:
    """Return what a version says of some houses beside their prices."""
    return Scored(price, model.prices(columns), property_id, columns.categories["state"])


def compare(version: int, here: Scored, own: Scored, policy: Policy) -> ChampionError | None:
    """Return a version's error on a batch beside its own; None where either side has no house to score.

    On either side without the prices that are out of line.
    """
    if not len(here) or not len(own):
        return None
    odd, own_odd = (out_of_line(one.price, one.said, one.state, policy) for one in (here, own))
    left_out = OutOfLine(int(odd.sum()), float(odd.mean()), float(own_odd.mean()), _rmse(here))
    here, own = here.take(~odd), own.take(~own_odd)
    overall, *slices = _compared(here, own, policy)
    return ChampionError(version, overall, tuple(slices), left_out, _price_level(here, own, policy))


def _compared(here: Scored, own: Scored, policy: Policy) -> list[Comparison]:
    states = sorted({text for scored in (here, own) for text in scored.state.counts()})
    names = [("batch", "all"), *(("state", state) for state in states), *(("price_band", band) for band in _BANDS)]
    random = np.random.default_rng(policy.seed)
    side_here, side_own = _side(here, states, random, policy), _side(own, states, random, policy)
    judged = (side_here.rows >= policy.judged_rows) & (side_here.rows >= policy.slice_share * len(here))
    # Many states looked at means that one of them looks bad by chance: each bound is that much farther out.
    looks = {"batch": 1, "state": max(int(judged[1 : len(states) + 1].sum()), 1), "price_band": len(_BANDS)}
    found = []
    for place in np.flatnonzero(side_here.rows).tolist():
        by, value = names[place]
        beside = place if side_own.rows[place] >= policy.judged_rows else 0
        ratio = float(side_here.rmse[place] / side_own.rmse[beside]) if side_own.rmse[beside] > 0 else None
        low, high = None, None
        if ratio and judged[place] and side_own.rows[beside] >= policy.judged_rows:
            logs = side_here.log_replicates[:, place] - side_own.log_replicates[:, beside]
            reach = math.exp(NormalDist().inv_cdf(1 - (1 - policy.confidence) / looks[by]) * float(np.std(logs)))
            low, high = ratio / reach, ratio * reach
        mine = np.any(side_here.slices == place, axis=1)
        found.append(
            Comparison(
                by, value, int(side_here.rows[place]), float(side_here.rmse[place]), names[beside][1],
                int(side_own.rows[beside]), float(side_own.rmse[beside]), ratio, low, high,
                _price_factor(here.take(mine)),
            )
        )  # fmt: skip
    return found


def _price_factor(scored: Scored) -> float:
    return float(np.median(scored.price / np.maximum(scored.said, 1.0)))


def _price_level(here: Scored, own: Scored, policy: Policy) -> PriceLevel:
    (low, middle, high), (own_low, own_middle, own_high) = (
        median_interval(one.price / np.maximum(one.said, 1.0), policy.median_confidence) for one in (here, own)
    )
    known = math.isfinite(high) and math.isfinite(own_high)
    bounds = (low / own_high, high / own_low) if known else (None, None)
    return PriceLevel(middle / own_middle, own_middle, *bounds)


def _rmse(scored: Scored) -> float:
    return float(np.sqrt(np.mean((scored.said - scored.price) ** 2)))


def _side(scored: Scored, states: Sequence[str], random: np.random.Generator, policy: Policy) -> _Side:
    """Return one side's errors in the slices all, each state, each price band; RMSE is NaN where it has no row."""
    slices, count = _slices(scored, states), 1 + len(states) + len(_BANDS)
    # The bucket is the property id modulo 100 and chose these rows; the digits above it are free.
    group = scored.property_id // BUCKETS % GROUPS
    cells = (group[:, None] * count + slices).ravel()
    squares = np.repeat((scored.said - scored.price) ** 2, slices.shape[1])
    by_group = np.bincount(cells, squares, GROUPS * count).reshape(GROUPS, count)
    rows = np.bincount(cells, minlength=GROUPS * count).reshape(GROUPS, count)
    # How often each group is drawn: Poisson weights, as good as drawing with replacement and five times as quick.
    drawn = random.poisson(1.0, (policy.replicates, GROUPS))
    with np.errstate(invalid="ignore", divide="ignore"):
        rmse = np.sqrt(by_group.sum(axis=0) / rows.sum(axis=0))
        log_replicates = np.log((drawn @ by_group) / (drawn @ rows)) / 2
    return _Side(slices, rows.sum(axis=0), rmse, log_replicates)


def _slices(scored: Scored, states: Sequence[str]) -> NDArray[np.intp]:
    """Return for each row the places of the three slices it is in: all, its state, its price band."""
    place = {state: number for number, state in enumerate(states, 1)}
    by_code = np.array([place.get(text, 0) for text in scored.state.values] or [0], np.intp)
    band = np.searchsorted(_BAND_EDGES, scored.price, side="left") + len(states) + 1
    return np.stack([np.zeros(len(scored), np.intp), by_code[scored.state.codes], band.astype(np.intp)], axis=1)


def worse_here(error: ChampionError, policy: Policy) -> list[Reason]:
    """Return where a version is worse than its own test error allows: on the whole batch, then in states beyond that.

    A state counts by itself only where it is worse by a factor than there, and than this batch is as a whole.
    """
    whole = error.overall
    found = []
    if above(whole.low, policy.champion_ratio):
        sentence = _told(error, policy) + f"; prices are {whole.price_factor:.2f} times what it says"
        found.append(Reason(Code.CHAMPION_WORSE_HERE, sentence, "batch", whole.ratio, policy.champion_ratio))
    limit = state_limit(whole.ratio, policy)
    states = [one for one in error.slices if one.by == "state" and above(one.low, limit)]
    if states:
        states.sort(key=lambda one: -(one.ratio or 0.0))
        told = [f"{shown(one.value)} {one.ratio:.2f} times ({one.low:.2f} to {one.high:.2f})" for one in states]
        sentence = (
            f"version {error.version} is more wrong in some states than on its own test part there, or on all of it "
            f"where it was not tested: {listed(told)}; {limit:.2f} is allowed"
        )
        found.append(Reason(Code.CHAMPION_WORSE_HERE, sentence, "state", states[0].ratio, limit))
    return found


def price_level(error: ChampionError, policy: Policy) -> list[Reason]:
    """Return that like houses cost more, or less, than where the version was tested, if so: no column shows that."""
    level, asked = error.level, policy.price_level
    if not level_moved(level.low, level.high, policy):
        return []
    sentence = (
        f"like houses cost {level.factor:.2f} times as much ({level.low:.2f} to {level.high:.2f}): prices here are "
        f"{error.overall.price_factor:.2f} times what version {error.version} says, and {level.own:.2f} times on its "
        f"own test part; a factor of {asked:g} counts"
    )
    return [Reason(Code.PRICE_LEVEL, sentence, "price", level.factor, asked)]


def not_worse(error: ChampionError, policy: Policy) -> Reason:
    """Return that a version is no worse on this batch than its own test error allows, or that nobody can tell."""
    code = Code.CHAMPION_NOT_WORSE if error.overall.low is not None else Code.CHAMPION_NOT_JUDGED
    return Reason(code, _told(error, policy), "batch", error.overall.ratio, policy.champion_ratio)


def _told(error: ChampionError, policy: Policy) -> str:
    one = error.overall
    ratio = "not comparable" if one.ratio is None else f"{one.ratio:.2f} times as much"
    bounds = (
        "too few rows to judge" if one.low is None
        else f"{one.low:.2f} to {one.high:.2f}; {policy.champion_ratio:g} is allowed"
    )  # fmt: skip
    return (
        f"version {error.version} is wrong by ${one.rmse:,.0f} (RMSE, {one.rows:,} rows) on this batch{_mostly(error)} "
        f"and by ${one.own_rmse:,.0f} on its own test part ({one.own_rows:,} rows): {ratio} ({bounds})"
    )


def _mostly(error: ChampionError) -> str:
    """Name the state most of the batch lies in, if it lies in one, and whether the version was tested there."""
    for one in error.slices:
        if one.by == "state" and one.rows > error.overall.rows / 2:
            seen = "" if one.own == one.value else ", where it was not tested"
            return f", {one.rows / error.overall.rows:.0%} of it {shown(one.value)}{seen},"
    return ""
