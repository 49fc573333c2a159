"""Listings for tests: some a person can read, and a seeded market whose prices follow from what the house is."""

import datetime as dt
from typing import Any

import numpy as np
from hypothesis import strategies as st

from steps.common.columns import Columns, Floats, from_listings
from steps.common.listing import Listing

HOUSE: dict[str, Any] = {
    "status": "for_sale", "bed": 3, "bath": 2, "house_size": 1800, "state": "Massachusetts", "zip_code": "1001",
    "acre_lot": 0.25, "city": "Agawam", "street": "1962661", "brokered_by": "103378", "prev_sold_date": "2022-03-14",
}  # fmt: skip

_texts = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=12).filter(lambda text: text.strip())
_few = st.sampled_from(["maine", "ohio", "a|b", "a", "b|c", "ready_to_build"])

houses: st.SearchStrategy[Listing] = st.builds(
    Listing,
    status=_few | _texts,
    bed=st.floats(1, 50) | st.integers(1, 50),
    bath=st.floats(1, 50),
    house_size=st.floats(100, 50_000),
    state=_few | _texts,
    zip_code=st.integers(0, 99_999).map(str) | st.sampled_from(["01001", "04401"]),
    acre_lot=st.none() | st.floats(0, 10_000),
    city=st.none() | _few | _texts,
    street=st.none() | _texts,
    brokered_by=st.none() | st.integers(0, 50).map(str),
    prev_sold_date=st.none() | st.dates(dt.date(1800, 1, 1), dt.date(2100, 1, 1)),
)


def house(**changes: object) -> Listing:
    """Return a listing with some fields other than usual."""
    return Listing.model_validate({**HOUSE, **changes})


def market(rows: int, seed: int = 0) -> tuple[list[Listing], Floats, np.ndarray[Any, np.dtype[np.int64]]]:
    """Return listings, their prices in dollars and their train buckets; price follows place, size, baths and noise."""
    rng = np.random.default_rng(seed)
    zips = rng.integers(0, 40, rows)
    sizes = rng.uniform(600, 4000, rows).round()
    baths = rng.integers(1, 5, rows)
    sold = rng.random(rows) < 0.4
    price = 60_000 + 90 * sizes * (1 + zips / 40) + 20_000 * baths - 15_000 * sold + rng.normal(0, 15_000, rows)
    listings = [
        house(
            zip_code=f"{1000 + 7 * place:05d}", state=f"state {place // 10}", city=f"city {place // 2}",
            house_size=size, bath=bath, status="sold" if gone else "for_sale", brokered_by=str(broker),
            prev_sold_date=dt.date(2000 + year, 1 + year % 12, 1), acre_lot=lot, bed=bed,
        )
        for place, size, bath, gone, broker, year, lot, bed in zip(
            zips.tolist(), sizes.tolist(), baths.tolist(), sold.tolist(), rng.integers(0, 30, rows).tolist(),
            rng.integers(0, 23, rows).tolist(), rng.exponential(0.5, rows).round(2).tolist(),
            rng.integers(1, 6, rows).tolist(), strict=True,
        )
    ]  # fmt: skip
    return listings, np.clip(price, 10_000, 10_000_000).round(), rng.integers(20, 100, rows)


def market_columns(rows: int, seed: int = 0) -> tuple[Columns, Floats, np.ndarray[Any, np.dtype[np.int64]]]:
    """Return the market as columns."""
    listings, price, bucket = market(rows, seed)
    return from_listings(listings), price, bucket
