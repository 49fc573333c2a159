"""Six batches of invented listings that obey the six rules, drift as the real ones do, and have their traps in them.

The rules hold by construction: a market's listings are drawn until enough obey the rule of each batch. Batches 0 to 2
come from one density, cut by size and status, so that batch 2 differs from the two before it in nothing but its status
and its dates. One listing in ten belongs to a house that is listed twice, for sale and sold, at the same price.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from local.batch_rules import BATCH_RULES, COLUMNS, TEXT_COLUMNS
from local.synthetic_market import Listings, Market, concatenate, draw_wanted, sale_dates

# Rows at scale 1, chosen so that six whole trainings take minutes; batches 0 and 1 share theirs as the density says.
FOR_SALE_ROWS: Final = 9_000
SOLD_ROWS: Final = 11_000
ROWS: Final = {3: 400, 4: 9_000, 5: 9_000}
TWIN_SHARE: Final = 0.05  # of the listings are second listings of a house, so one in ten is one of a pair

# What real sources send among good rows: batch, column, value.
TRAPS: Final = (
    (0, "price", 1.0),
    (0, "house_size", 1_560_780.0),
    (1, "acre_lot", 100_000.0),
    (2, "price", 1.0),
    (4, "bed", 444.0),
)
LONELY_STATE: Final = {"state": "Wyoming", "city": "Lone Tree", "zip_code": 82001.0}  # one single row, in batch 2
LONELY_BATCH: Final = 2

SCHEMA: Final = pa.schema([(name, pa.string() if name in TEXT_COLUMNS else pa.float64()) for name in COLUMNS])


@dataclass(frozen=True)
class SyntheticBatches:
    """What to generate: a market, how many rows (1.0 is about 38,000 in all), and whether the traps are in it."""

    market: Market = field(default_factory=Market)
    scale: float = 1.0
    traps: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.scale < float("inf"):
            raise ValueError(f"the scale must be a positive number, not {self.scale}")


def generate(batches: SyntheticBatches) -> tuple[pa.Table, ...]:
    """Return the six batches as tables of the twelve columns, in the order in which they are served."""
    for_sale, sold = _priced_up_to_300k(batches)
    large = for_sale["house_size"] >= BATCH_RULES[0].house_size_from
    made = [_where(for_sale, large), _where(for_sale, ~large), sold]
    made += [_with_twins(batches, number) for number in ROWS]
    return tuple(_table(batches, number, listings) for number, listings in enumerate(made))


def obeys(number: int, listings: Listings) -> NDArray[np.bool_]:
    """Return which of the listings obey the rule of that batch."""
    rule = BATCH_RULES[number]
    return rule.holds(listings["price"], listings["status"], listings["state"], listings["house_size"])


def _priced_up_to_300k(batches: SyntheticBatches) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Draw batches 0 and 1 as one, and batch 2 with the second listings of some of their houses."""
    market = batches.market
    rng = _rng(market, 0)
    count = _scaled(FOR_SALE_ROWS, batches)
    for_sale = draw_wanted(market, rng, count, lambda drawn: obeys(0, drawn) | obeys(1, drawn))
    twins = min(count, round(TWIN_SHARE * (FOR_SALE_ROWS + SOLD_ROWS) * batches.scale))
    again = _second_listing(rng, _where(for_sale, rng.choice(count, twins, replace=False)))
    fresh = draw_wanted(market, rng, _scaled(SOLD_ROWS, batches) - twins, lambda drawn: obeys(2, drawn))
    return for_sale, concatenate([fresh, again])


def _with_twins(batches: SyntheticBatches, number: int) -> dict[str, NDArray[Any]]:
    rng = _rng(batches.market, number)
    count = _scaled(ROWS[number], batches)
    twins = round(TWIN_SHARE * count)
    fresh = draw_wanted(batches.market, rng, count - twins, lambda drawn: obeys(number, drawn))
    return concatenate([fresh, _second_listing(rng, _where(fresh, rng.choice(count - twins, twins, replace=False)))])


def _second_listing(rng: np.random.Generator, listings: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """List the same houses again at the same price: what was for sale is sold, and the other way round."""
    sold = listings["status"] != "sold"
    status = np.where(sold, "sold", "for_sale").astype(object)
    return {**listings, "status": status, "prev_sold_date": sale_dates(rng, sold)}


def _table(batches: SyntheticBatches, number: int, listings: dict[str, NDArray[Any]]) -> pa.Table:
    """Put the traps in and shuffle: a trap is a row of its own, so that twins stay twins."""
    rng = _rng(batches.market, 100 + number)
    changes: list[dict[str, Any]] = [{column: value} for batch, column, value in TRAPS if batch == number]
    changes += [LONELY_STATE] if number == LONELY_BATCH else []
    for change in changes if batches.traps else []:
        pattern = _where(listings, rng.integers(0, len(listings["price"]), 1))
        odd = {"street": rng.integers(100, 2_000_000)} | change
        row = {name: np.array([odd.get(name, pattern[name][0])], pattern[name].dtype) for name in COLUMNS}
        listings = concatenate([listings, row])
    shuffled = _where(listings, rng.permutation(len(listings["price"])))
    return pa.table([pa.array(shuffled[name], SCHEMA.field(name).type) for name in COLUMNS], schema=SCHEMA)


def _where(listings: Listings, kept: NDArray[Any]) -> dict[str, NDArray[Any]]:
    return {name: values[kept] for name, values in listings.items()}


def _scaled(rows: int, batches: SyntheticBatches) -> int:
    return max(2, round(rows * batches.scale))


def _rng(market: Market, purpose: int) -> np.random.Generator:
    """Each purpose has its own stream, so that more rows in one batch do not change another."""
    return np.random.default_rng([market.seed, market.draw, purpose])
