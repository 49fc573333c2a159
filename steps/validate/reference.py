"""What a batch is compared with: how often each value occurs in all clean listings so far."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from steps.common.columns import Floats
from steps.common.listing import NUMERIC_FIELDS
from steps.validate.batch import DATE, Field, Mask

MEASURED: Final = (*NUMERIC_FIELDS, DATE)


@dataclass(frozen=True)
class Distribution:
    """Distinct numbers in ascending order and how often each occurs; `missing` rows hold none."""

    values: Floats
    counts: NDArray[np.int64]
    missing: int

    @property
    def rows(self) -> int:
        """Return how many rows hold a number."""
        return int(self.counts.sum())

    def quantile(self, share: float) -> float:
        """Return the least value that at least this share of the rows does not exceed; NaN where there is none."""
        if not len(self.values):
            return float("nan")
        reached = np.searchsorted(self._cumulated, share * self._cumulated[-1] * (1 - 1e-12))
        return float(self.values[min(int(reached), len(self.values) - 1)])

    @cached_property
    def _cumulated(self) -> NDArray[np.int64]:
        return np.cumsum(self.counts)


@dataclass(frozen=True)
class Reference:
    """The clean listings of some batches: the numbers (dates as ordinal days) and texts of each field, counted."""

    batches: tuple[int, ...]
    rows: int
    numbers: Mapping[str, Distribution]
    texts: Mapping[str, Mapping[str, int]]


def distribution(field: Field, rows: Mask) -> Distribution:
    """Return the numbers of some rows of a field, counted."""
    counts = np.bincount(field.codes[rows], minlength=len(field.number_by_code))
    known = ~np.isnan(field.number_by_code) & (counts > 0)
    # Two texts may be one number, such as 3 and 3.0.
    values, place = np.unique(field.number_by_code[known], return_inverse=True)
    held = np.bincount(place, counts[known], len(values)).astype(np.int64)
    return Distribution(values, held, int(counts.sum() - held.sum()))


def reference(batches: Mapping[int, int], counts: Mapping[str, Mapping[str, int]]) -> Reference:
    """Return the reference made of batches (number to listings) and the counts of their values as CLEAN has them."""
    rows = sum(batches.values())
    numbers = {}
    for name in MEASURED:
        found = sorted((_measure(name, text), count) for text, count in counts[name].items())
        values = np.array([value for value, _ in found], np.float64)
        number_of = np.array([count for _, count in found], np.int64)
        numbers[name] = Distribution(values, number_of, rows - int(number_of.sum()))
    texts = {name: found for name, found in counts.items() if name not in numbers}
    return Reference(tuple(sorted(batches)), rows, numbers, texts)


def _measure(name: str, text: str) -> float:
    return float(dt.date.fromisoformat(text).toordinal()) if name == DATE else float(text)
