"""The twelve columns of a listing as the source sends them, and the six rules that cut listings into batches."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

# In the order of the public CSV, which is the order of the keys in an answer.
COLUMNS: Final = (
    "brokered_by",
    "status",
    "price",
    "bed",
    "bath",
    "acre_lot",
    "street",
    "city",
    "state",
    "zip_code",
    "house_size",
    "prev_sold_date",
)
TEXT_COLUMNS: Final = frozenset({"status", "city", "state", "prev_sold_date"})

MASSACHUSETTS: Final = "Massachusetts"


@dataclass(frozen=True, slots=True)
class BatchRule:
    """Which listings are in a batch; None means that it makes no difference."""

    words: str
    price_above: float
    price_up_to: float
    massachusetts: bool | None = None
    status: str | None = None
    house_size_from: float = -math.inf
    house_size_below: float = math.inf

    def holds(
        self, price: NDArray[Any], status: NDArray[Any], state: NDArray[Any], house_size: NDArray[Any]
    ) -> NDArray[np.bool_]:
        """Return which of n listings obey the rule: four columns of n values in, n booleans out."""
        kept = (price > self.price_above) & (price <= self.price_up_to)
        kept &= (house_size >= self.house_size_from) & (house_size < self.house_size_below)
        if self.massachusetts is not None:
            kept &= (state == MASSACHUSETTS) == self.massachusetts
        if self.status is not None:
            kept &= status == self.status
        return np.asarray(kept, dtype=np.bool_)


_NO_PRICE = -math.inf
# The number of a rule is the number of its batch.
BATCH_RULES: Final = (
    BatchRule(
        "at most 300k, for sale, 1500 sqft and more, not Massachusetts",
        _NO_PRICE,
        300_000,
        massachusetts=False,
        status="for_sale",
        house_size_from=1500,
    ),
    BatchRule(
        "at most 300k, for sale, below 1500 sqft, not Massachusetts",
        _NO_PRICE,
        300_000,
        massachusetts=False,
        status="for_sale",
        house_size_below=1500,
    ),
    BatchRule("at most 300k, sold, not Massachusetts", _NO_PRICE, 300_000, massachusetts=False, status="sold"),
    BatchRule("at most 300k, Massachusetts", _NO_PRICE, 300_000, massachusetts=True),
    BatchRule("above 300k, at most 500k", 300_000, 500_000),
    BatchRule("above 500k", 500_000, math.inf),
)
