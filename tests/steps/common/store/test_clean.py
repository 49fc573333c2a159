"""CLEAN on a real PostgreSQL: what is written comes back as columns, whatever characters it holds."""

import datetime as dt

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from steps.common.listing import PricedListing, Reason, Refusal, bucket
from steps.common.store import clean
from steps.common.store.clean import CleanRow
from tests.servers import Databases

_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda text: bool(text.strip())
)


def listings() -> st.SearchStrategy[PricedListing]:
    return st.builds(
        PricedListing,
        price=st.floats(10_000, 10_000_000),
        status=_TEXT,
        bed=st.integers(1, 50).map(float),
        bath=st.floats(1, 50),
        house_size=st.floats(100, 50_000),
        state=_TEXT,
        zip_code=st.from_regex(r"[0-9]{5}", fullmatch=True),
        acre_lot=st.none() | st.floats(0, 10_000),
        city=st.none() | _TEXT,
        street=st.none() | _TEXT,
        brokered_by=st.none() | _TEXT,
        prev_sold_date=st.none() | st.dates(dt.date(1800, 1, 1), dt.date(2100, 1, 1)),
    )


@given(rows=st.lists(listings(), max_size=6))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_listings_come_back_as_they_were_written(databases: Databases, rows: list[PricedListing]) -> None:
    engine = create_engine(databases.url("clean"))
    written = [CleanRow(number, number * 7, bucket(number * 7), row) for number, row in enumerate(rows)]
    with engine.begin() as connection:
        clean.delete_batch(connection, "s", 1)
        clean.copy_listings(connection, "s", 1, written)
    with engine.connect() as connection:
        read = clean.read(connection, "s", [1])
    engine.dispose()
    assert read.price.tolist() == [row.price for row in rows]
    for name in ("status", "state", "city", "zip_code", "brokered_by"):
        assert read.columns.categories[name].texts() == [getattr(row, name) for row in rows]
    years = [np.nan if row.prev_sold_date is None else row.prev_sold_date.year for row in rows]
    assert np.array_equal(read.columns.numbers["prev_sold_year"], np.array(years, float), equal_nan=True)


def test_the_digest_changes_with_any_row_and_reason(databases: Databases) -> None:
    listing = PricedListing(
        price=200_000, status="sold", bed=3, bath=2, house_size=1500, state="Ohio", zip_code="44101"
    )
    engine = create_engine(databases.url("clean"))
    digests = []
    for number, reason in ((1, Reason.MISSING), (2, Reason.MISSING), (1, Reason.MALFORMED), (1, Reason.MISSING)):
        with engine.begin() as connection:
            clean.delete_batch(connection, "s", 0)
            clean.copy_listings(connection, "s", 0, [CleanRow(0, number, number, listing)])
            clean.copy_refusals(connection, "s", 0, [(5, Refusal(reason, "bed", "is required"))])
            digests.append(clean.digest(connection, "s", 0))
    engine.dispose()
    assert len(set(digests)) == 3
    assert digests[0] == digests[3]


def test_only_the_asked_buckets_leave_the_database(databases: Databases) -> None:
    listing = PricedListing(price=2e5, status="sold", bed=3, bath=2, house_size=1500, state="Ohio", zip_code="44101")
    engine = create_engine(databases.url("clean"))
    with engine.begin() as connection:
        clean.copy_listings(connection, "s", 0, [CleanRow(n, n, bucket(n), listing) for n in range(200)])
    with engine.connect() as connection:
        found = clean.read(connection, "s", [0], range(20, 100))
        some = clean.read(connection, "s", [0], [7, 31])
        none = clean.read(connection, "s", [0], [])
        nothing = clean.read(connection, "another source", [0])
    engine.dispose()
    assert sorted(set(some.bucket.tolist())) == [7, 31]
    assert len(none) == 0
    assert sorted(set(found.bucket.tolist())) == list(range(20, 100))
    assert len(nothing) == 0
