"""An invented housing market: its places, the density its houses are drawn from, and what they are worth.

Everything follows from a `Market`, a dataclass of plain numbers, so that a test can change one cause at a time with
`dataclasses.replace`: `price_factor=1.1` for dearer houses, one more `State` for a place never seen, another `draw`
for other houses of the same market, another `house_size_mean` for other houses altogether.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from local.batch_rules import COLUMNS

# One array a column, all of the same length.
Listings = Mapping[str, NDArray[Any]]
# Which of the given listings are wanted.
Wanted = Callable[[Listings], NDArray[np.bool_]]

CITY_BEGINNINGS: Final = (
    "Ash",
    "Brook",
    "Cedar",
    "Clear",
    "Fair",
    "Glen",
    "Green",
    "Lake",
    "Mill",
    "North",
    "Oak",
    "River",
)
CITY_ENDINGS: Final = ("burg", "dale", "field", "ford", "mont", "port", "ton", "ville", "wood")

FIRST_DAY: Final = np.datetime64("1964-09-01")
LAST_DAY: Final = np.datetime64("2023-05-06")
# All that was sold was sold in these seven months.
SOLD_FROM: Final = np.datetime64("2021-10-20")
SOLD_UNTIL: Final = np.datetime64("2022-05-05")

BLOCK: Final = 4096
BLOCKS_WITHOUT_A_HIT: Final = 500


class NothingToDraw(ValueError):
    """The market has no listing of the wanted kind, so that drawing one would never end."""


@dataclass(frozen=True, slots=True)
class State:
    """A state: its name, the first of its zip codes, how dear it is (in log price) and its share of the listings."""

    name: str
    first_zip: int
    dearness: float
    weight: float


STATES: Final = (
    State("Ohio", 43001, -0.35, 0.14),
    State("Pennsylvania", 15001, -0.20, 0.13),
    State("Illinois", 60001, -0.12, 0.11),
    State("Georgia", 30002, -0.08, 0.10),
    State("North Carolina", 27006, -0.02, 0.09),
    State("Texas", 75001, 0.02, 0.12),
    State("Florida", 32003, 0.10, 0.11),
    State("Arizona", 85003, 0.14, 0.07),
    State("New Jersey", 7001, 0.35, 0.06),
    State("Massachusetts", 1001, 0.40, 0.07),
)


@dataclass(frozen=True)
class Market:
    """All that decides what listings there are: the same market gives the same listings, byte for byte.

    Sizes are in square feet, prices in dollars, effects and spreads (standard deviations) in log price.
    """

    seed: int = 1  # of the places and their worth
    draw: int = 0  # of the houses that happen to be listed
    states: tuple[State, ...] = STATES
    cities_per_state: int = 9
    zips_per_city: int = 3
    city_spread: float = 0.30
    zip_spread: float = 0.15
    house_size_mean: float = 7.46  # of the logarithm
    house_size_spread: float = 0.42
    sold_share: float = 0.57
    typical_price: float = 300_000.0
    price_factor: float = 1.0
    noise_spread: float = 0.15
    luxury_share: float = 0.004  # listings far above what their features say: the heavy tail
    luxury_mean: float = 0.9  # of the exponentially distributed surplus in log price


@dataclass(frozen=True, slots=True)
class Places:
    """Every zip code of a market, one array element each, sorted by zip code."""

    zip_code: NDArray[np.int64]
    city: NDArray[np.object_]
    state: NDArray[np.object_]
    weight: NDArray[np.float64]
    dearness: NDArray[np.float64]
    size_elasticity: NDArray[np.float64]


@lru_cache(maxsize=8)
def places(market: Market) -> Places:
    """Return the places of a market; a state more leaves those of the others as they are."""
    found: list[tuple[int, str, str, float, float, float]] = []
    for state in market.states:
        rng = np.random.default_rng([market.seed, zlib.crc32(state.name.encode())])
        names = rng.permutation([start + end for start in CITY_BEGINNINGS for end in CITY_ENDINGS])
        shares = rng.dirichlet(np.full(market.cities_per_state, 3.0)) * state.weight / market.zips_per_city
        elasticity = 0.55 + rng.normal(0.0, 0.08)
        for city in range(market.cities_per_state):
            city_level = state.dearness + rng.normal(0.0, market.city_spread)
            for one in range(market.zips_per_city):
                zip_code = state.first_zip + city * market.zips_per_city + one
                level = city_level + rng.normal(0.0, market.zip_spread)
                found.append((zip_code, str(names[city]), state.name, float(shares[city]), level, elasticity))
    zips, cities, states, weights, levels, elasticities = zip(*sorted(found), strict=True)
    return Places(
        zip_code=np.array(zips),
        city=np.array(cities, dtype=object),
        state=np.array(states, dtype=object),
        weight=np.array(weights) / sum(weights),
        dearness=np.array(levels),
        size_elasticity=np.array(elasticities),
    )


def log_price(market: Market, listings: Listings) -> NDArray[np.float64]:
    """Return what n listings are worth before noise, as the logarithm of dollars: the price function.

    Worth depends on place (state, city and zip), size, baths, and on the lot more where the place is dear.
    """
    known = places(market)
    at = np.searchsorted(known.zip_code, np.asarray(listings["zip_code"], dtype=np.int64))
    dearness = known.dearness[at]
    lot = np.log(np.asarray(listings["acre_lot"], dtype=np.float64)) + 1.5
    worth = (
        np.log(market.typical_price * market.price_factor)
        + dearness
        + known.size_elasticity[at] * (np.log(np.asarray(listings["house_size"], dtype=np.float64)) - 7.38)
        + 0.10 * (np.asarray(listings["bath"], dtype=np.float64) - 2.0)
        + (0.05 + 0.06 * np.clip(dearness, -0.5, 1.0)) * lot
    )
    return np.asarray(worth, dtype=np.float64)


def draw_listings(market: Market, rng: np.random.Generator, count: int) -> dict[str, NDArray[Any]]:
    """Return `count` independent listings from the density of the market, as twelve columns."""
    known = places(market)
    at = rng.choice(len(known.weight), count, p=known.weight)
    size = np.round(np.exp(rng.normal(market.house_size_mean, market.house_size_spread, count)))
    log_size = np.log(size)
    sold = rng.random(count) < market.sold_share
    drawn: dict[str, NDArray[Any]] = {
        "brokered_by": (known.zip_code[at] // 100 * 100 + rng.integers(0, 60, count)).astype(np.float64),
        "status": np.where(sold, "sold", "for_sale").astype(object),
        "bed": np.clip(np.round(1.9 * log_size - 10.85 + rng.normal(0.0, 0.55, count)), 1, 9),
        "bath": np.clip(np.round(1.6 * log_size - 9.55 + rng.normal(0.0, 0.5, count)), 1, 8),
        "acre_lot": np.maximum(np.round(np.exp(rng.normal(-1.5, 1.1, count)), 2), 0.01),
        "street": rng.integers(100, 2_000_000, count).astype(np.float64),
        "city": known.city[at],
        "state": known.state[at],
        "zip_code": known.zip_code[at].astype(np.float64),
        "house_size": size,
        "prev_sold_date": sale_dates(rng, sold),
    }
    noise = rng.normal(0.0, market.noise_spread, count)
    surplus = rng.exponential(market.luxury_mean, count) * (rng.random(count) < market.luxury_share)
    drawn["price"] = np.round(np.exp(log_price(market, drawn) + noise + surplus), -2)
    return {name: drawn[name] for name in COLUMNS}


def sale_dates(rng: np.random.Generator, sold: NDArray[np.bool_]) -> NDArray[np.object_]:
    """Return the text of the last sale's day: in the months of all sales where sold, else any time before."""
    months = int((SOLD_UNTIL - SOLD_FROM).astype(int)) + 1
    years = int((LAST_DAY - FIRST_DAY).astype(int))
    recent = SOLD_FROM + rng.integers(0, months, len(sold)).astype("timedelta64[D]")
    ago = np.minimum(rng.exponential(12 * 365.0, len(sold)).astype(np.int64), years)
    days = np.where(sold, recent, LAST_DAY - ago.astype("timedelta64[D]"))
    return np.array(days.astype(str), dtype=object)


def draw_wanted(market: Market, rng: np.random.Generator, count: int, wanted: Wanted) -> dict[str, NDArray[Any]]:
    """Return `count` listings of the wanted kind by rejection: the density of the market, conditioned.

    Raises NothingToDraw when the market does not seem to have any.
    """
    blocks: list[dict[str, NDArray[Any]]] = []
    have = misses = 0
    while have < count:
        block = draw_listings(market, rng, BLOCK)
        kept = wanted(block)
        hits = int(kept.sum())
        misses = 0 if hits else misses + 1
        if misses > BLOCKS_WITHOUT_A_HIT:
            raise NothingToDraw(f"{misses * BLOCK} listings were drawn and none was of the wanted kind")
        blocks.append({name: values[kept] for name, values in block.items()})
        have += hits
    return concatenate(blocks, count)


def concatenate(blocks: list[dict[str, NDArray[Any]]], count: int | None = None) -> dict[str, NDArray[Any]]:
    """Return the first `count` listings of some blocks as one, or all of them."""
    return {name: np.concatenate([block[name] for block in blocks])[:count] for name in COLUMNS}
