"""The change of the champion's error from the houses before to the new ones, split by its causes.

A version of DISDE (Cai, Namkoong & Yadlowsky 2023, "Diagnosing model performance under distribution shift"). New houses
unlike any before are told apart first; for the rest, the error that the champion would have made on them had they cost
what such houses cost before is estimated from the houses before, re-weighted to look like the new ones. With p the
houses before, q the new ones, o and c their parts outside and within the common ground, and L the squared error:

    E_q[L] - E_p[L] = q(o) (E_o[L] - E_p[L])  outside
                    + q(c) (E_p→c[L] - E_p[L])  houses
                    + q(c) (E_c[L] - E_p→c[L])  prices

which adds up exactly, in every replicate too. E_p→c[L] is doubly robust: the expected error of each house within the
common ground, plus the re-weighted mean of what that expectation missed before. Weights alone had the noise of the
classifier in them, and two draws of one market then seemed to differ in houses and, the other way, in prices.
Intervals are a bootstrap over houses with weights and expectations held.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from steps.common.columns import Floats
from steps.common.explanation import ErrorChange, Estimate, PriceFactor, Term, TermName
from steps.common.resampling import properties
from steps.common.store.clean import Listings
from steps.evaluate import novelty, overlap
from steps.evaluate.contenders import Contender
from steps.evaluate.estimates import estimate, refuse_no_numbers, resample
from steps.evaluate.novelty import MOST_RATIO, Ranges
from steps.evaluate.sides import Sides

# Of a hundred batches in which nothing changed, at most three then show a term that is called real.
CONFIDENCE: Final = 0.99
# Fewer houses than this, in effect, and a re-weighted mean says little.
EFFECTIVE: Final = 500
# Fewer houses than this outside, and a bootstrap of them says nothing.
_FEW: Final = 30
# Two errors of zero change by zero.
_LEAST: Final = 1e-9

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class _Ground:
    """Each row's place: outside, or common; the weight of a row before, and the squared error expected of a row."""

    outside: Mask
    weight: Floats
    expected: Floats


@dataclass(frozen=True)
class _Means:
    """Mean squared errors and the parts of their difference, for the rows as they are and then for every replicate."""

    before: Floats
    new: Floats
    outside: Floats
    common: Floats
    expected: Floats


def decompose(rows: Listings, sides: Sides, champion: Contender, known: Ranges) -> ErrorChange:
    """Return the terms of the change of the champion's error; both sides have rows.

    `known` holds the ranges of the numbers the champion was trained on. Raises NotMeasurable when its errors are not
    numbers.
    """
    refuse_no_numbers(champion.scored.prices)
    squared = (champion.scored.prices - rows.price) ** 2
    strange, novelties = novelty.outside(rows.columns, sides.new, champion.bundle.encodings, known)
    ground = _ground(rows, sides, champion, squared, strange)
    effective = _effective(rows, ground.weight)
    common = sides.new & ~ground.outside
    common_houses = len(np.unique(rows.property_id[common]))
    split = min(effective, common_houses) >= EFFECTIVE
    totals = resample(rows, _columns(sides, squared, ground))
    # The rows as they are stand first, the replicates behind them.
    means = _means(np.column_stack([totals.point, totals.replicates]))
    count = int(np.sum(sides.new))
    outside_rows = count - int(common.sum())
    terms = _terms(means, split=split, some_common=bool(common.any()), few=outside_rows < _FEW)
    mean_squared, rmse = _estimates(means.new - means.before, means)
    return ErrorChange(
        confidence=CONFIDENCE,
        before_rmse=float(np.sqrt(means.before[0])),
        new_rmse=float(np.sqrt(means.new[0])),
        mean_squared=mean_squared,
        rmse=rmse,
        real=mean_squared.clear,
        terms=terms,
        outside_rows=outside_rows,
        outside_share=outside_rows / count,
        needed_outside_rows=_FEW,
        rarer_rows=int(np.sum(sides.new & ground.outside & ~strange)),
        rarer_ratio=MOST_RATIO,
        common_properties=common_houses,
        effective_properties=effective,
        needed_properties=EFFECTIVE,
        novelties=novelties,
        factors=_factors(rows, sides, champion, ground),
    )


def _ground(rows: Listings, sides: Sides, champion: Contender, squared: Floats, strange: Mask) -> _Ground:
    """Return where each row lies; where too few of one side are left to compare, nothing is weighed."""
    outside, weight, expected = strange.copy(), np.zeros(len(rows)), np.zeros(len(rows))
    chosen = np.flatnonzero((sides.before | sides.new) & ~strange)
    new = sides.new[chosen]
    houses = [len(np.unique(rows.property_id[chosen][side])) for side in (new, ~new)]
    if min(houses) < EFFECTIVE:
        return _Ground(outside, weight, expected)
    matrix = overlap.known_to(champion.bundle, rows.columns.take(chosen))
    found = overlap.measure(matrix, new, squared[chosen], overlap.folds(rows.property_id[chosen]))
    common = found.ratio <= MOST_RATIO
    outside[chosen] = ~common
    weight[chosen] = np.where(~new & common, found.ratio, 0.0)
    expected[chosen] = found.expected
    return _Ground(outside, weight, expected)


def _effective(rows: Listings, weight: Floats) -> float:
    """Return how many equally weighed houses say as much (Kish 1965); twins of a house are one."""
    by_house = properties(rows.property_id).sums(weight)
    return float(by_house.sum() ** 2 / (by_house**2).sum()) if by_house.any() else 0.0


def _columns(sides: Sides, squared: Floats, ground: _Ground) -> list[Floats]:
    """Return what is summed, per row: counts and squared errors of each part, expected errors, weights, residuals."""
    outside, common = sides.new & ground.outside, sides.new & ~ground.outside
    masks: list[tuple[Mask, Floats]] = [
        (sides.before, squared), (outside, squared), (common, squared), (common, ground.expected),
    ]  # fmt: skip
    parts = [np.where(mask, values, 0.0) for mask, values in masks]
    counts = [mask.astype(np.float64) for mask in (sides.before, outside, common)]
    missed = np.where(ground.weight > 0, ground.weight * (squared - ground.expected), 0.0)
    return [*counts, *parts, ground.weight, missed]


def _means(totals: Floats) -> _Means:
    count_before, count_outside, count_common, before, outside, common, expected, weight, missed = totals
    count = count_outside + count_common
    with np.errstate(all="ignore"):
        mean = before / count_before
        correction = np.where(weight > 0, missed / weight, 0.0)
        return _Means(
            before=mean,
            new=(outside + common) / count,
            outside=(outside - count_outside * mean) / count,
            common=(common - count_common * mean) / count,
            expected=(expected + count_common * (correction - mean)) / count,
        )


def _terms(means: _Means, *, split: bool, some_common: bool, few: bool) -> tuple[Term, ...]:
    parts: dict[TermName, Floats] = {"outside": means.outside}
    if split:
        parts |= {"houses": means.expected, "prices": means.common - means.expected}
    elif some_common:
        parts["houses_or_prices"] = means.common
    found = []
    for name, values in parts.items():
        mean_squared, rmse = _estimates(values, means)
        real = mean_squared.clear and not (name == "outside" and few)
        found.append(Term(name=name, mean_squared=mean_squared, rmse=rmse, real=real))
    return tuple(found)


def _estimates(values: Floats, means: _Means) -> tuple[Estimate, Estimate]:
    """Return a part of the change in dollars², and in dollars of RMSE: a² - b² = (a - b)(a + b)."""
    dollars = values / np.maximum(np.sqrt(means.new) + np.sqrt(means.before), _LEAST)
    return estimate(values[0], values[1:], CONFIDENCE), estimate(dollars[0], dollars[1:], CONFIDENCE)


def _factors(rows: Listings, sides: Sides, champion: Contender, ground: _Ground) -> tuple[PriceFactor, ...]:
    """Return by how much prices are higher than the champion says, in the median, before and in either part now."""
    factor = rows.price / np.maximum(champion.scored.prices, 1.0)
    parts: tuple[tuple[Literal["before", "common", "outside"], Mask], ...] = (
        ("before", sides.before), ("common", sides.new & ~ground.outside), ("outside", sides.new & ground.outside),
    )  # fmt: skip
    return tuple(PriceFactor(of=of, factor=float(np.median(factor[mask]))) for of, mask in parts if mask.any())
