"""Where two models differ: the test rows cut by batch, state, price, kind of sale and zip code, with counts.

Slices that may veto a promotion also carry the distribution of the ratio of the two errors; the bands of the price
never do, as they condition on what is to be predicted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from steps.common.columns import Floats
from steps.common.evidence import GUARDED, PAIRED_ROWS, Distribution, Slice
from steps.common.resampling import Properties, distribution, root_mean
from steps.common.store.clean import Listings
from steps.evaluate.scores import Scored, metrics

PRICE_BANDS: Final = (0, 100_000, 200_000, 300_000, 400_000, 500_000, 1_000_000, 2_000_000)

By = Literal["batch", "state", "price_band", "status", "zip_seen"]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Cut:
    """A slice: by what, which value, and which rows it has."""

    by: By
    value: str
    mask: Mask


@dataclass(frozen=True)
class Totals:
    """Every replicate's totals of one slice: rows, and squared errors of candidate and champion."""

    rows: Floats
    candidate: Floats
    champion: Floats


def cuts(rows: Listings, batches: Sequence[int], known_zips: Collection[str]) -> list[Cut]:
    """Return every slice of the test rows; `known_zips` are those the candidate was trained on.

    Batches of the data set and both kinds of zip code are always there, if need be without rows.
    """
    return [
        *(Cut("batch", str(number), rows.batch_number == number) for number in batches),
        *_texts(rows, "state"),
        *_bands(rows.price),
        *_texts(rows, "status"),
        *_zips(rows, known_zips),
    ]


def _texts(rows: Listings, by: Literal["state", "status"]) -> Iterator[Cut]:
    category = rows.columns.categories[by]
    for code, value in enumerate(category.values):
        mask = category.codes == code
        if mask.any():
            yield Cut(by, value, mask)


def _bands(price: Floats) -> Iterator[Cut]:
    band = np.searchsorted(PRICE_BANDS, price, side="right") - 1
    for place, low in enumerate(PRICE_BANDS):
        mask = band == place
        if mask.any():
            high = f"{PRICE_BANDS[place + 1]}" if place + 1 < len(PRICE_BANDS) else "more"
            yield Cut("price_band", f"{low} to {high}", mask)


def _zips(rows: Listings, known: Collection[str]) -> list[Cut]:
    category = rows.columns.categories["zip_code"]
    seen = np.array([value in known for value in category.values] or [False])[category.codes] & (category.codes >= 0)
    return [Cut("zip_seen", "yes", seen), Cut("zip_seen", "no", ~seen)]


def paired(found: Sequence[Cut]) -> list[Cut]:
    """Return the slices whose two errors are compared by resampling."""
    return [cut for cut in found if cut.by in GUARDED and int(cut.mask.sum()) >= PAIRED_ROWS]


def sums_by_house(houses: Properties, rows: Listings, pair: tuple[Scored, Scored], masks: Sequence[Mask]) -> Floats:
    """Return what is to be resampled: per house and mask the rows and both squared errors, (houses, 3 · masks)."""
    squared = [(one.prices - rows.price) ** 2 for one in pair]
    # A product with a mask would turn one price that is no number into that in every slice.
    columns = [
        houses.sums(values)
        for mask in masks
        for values in (mask.astype(np.float64), *(np.where(mask, error, 0.0) for error in squared))
    ]
    return np.column_stack(columns)


def totals_of(replicates: Floats, place: int) -> Totals:
    """Return the totals of the mask at a place from the replicates of `sums_by_house`."""
    return Totals(*(replicates[:, 3 * place + column] for column in range(3)))


def gains(totals: Totals) -> Floats:
    """Return each replicate's RMSE of the champion minus that of the candidate, in dollars."""
    return root_mean(totals.champion, totals.rows) - root_mean(totals.candidate, totals.rows)


def ratios(totals: Totals) -> Distribution | None:
    """Return the distribution of RMSE(candidate) / RMSE(champion); None where a replicate has no such ratio."""
    with np.errstate(all="ignore"):
        return distribution(np.sqrt(totals.candidate / totals.champion))


def measure(
    cut: Cut, rows: Listings, candidate: Scored, champion: Scored | None, known_batches: Collection[int],
    totals: Totals | None,
) -> Slice:  # fmt: skip
    """Return both models' errors on a slice; `known_batches` are those the champion was trained on."""
    count = int(cut.mask.sum())
    price = rows.price[cut.mask]
    new = ~np.isin(rows.batch_number[cut.mask], list(known_batches))
    ratio = ratios(totals) if totals else None
    note = None
    if not count:
        note = f"No test row has {cut.by} {cut.value}."
    elif totals and ratio is None:
        note = f"The errors on {cut.by} {cut.value} have no ratio: one of them is zero or not a number."
    return Slice(
        by=cut.by,
        value=cut.value,
        rows=count,
        new_rows=int(new.sum()),
        candidate=metrics(price, candidate.prices[cut.mask]),
        champion=metrics(price, champion.prices[cut.mask]) if champion else None,
        ratio=ratio,
        note=note,
    )
