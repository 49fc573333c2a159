"""A batch in columns is its rows one by one."""

from collections import Counter

import numpy as np

from steps.common.columns import CATEGORIES, from_listings
from steps.common.listing import PricedListing, Refusal, parse, property_id
from tests.steps.batches import ODD, rows
from tests.steps.validate.judging import batch_of, reference_of

MIXED = [
    {**row, **ODD[number % len(ODD)]} if number % 4 == 0 else row for number, row in enumerate(rows(600, acre_lot=None))
]


def test_columns_are_those_of_the_listings() -> None:
    batch = batch_of(MIXED)
    found = [parse(row) for row in MIXED]
    listings = [one for one in found if isinstance(one, PricedListing)]
    expected, kept = from_listings(listings), np.flatnonzero(batch.kept)
    assert [isinstance(one, PricedListing) for one in found] == batch.kept.tolist()
    assert batch.refused == Counter(one for one in found if isinstance(one, Refusal))
    assert batch.price[kept].tolist() == [one.price for one in listings]
    for name, numbers in expected.numbers.items():
        assert np.array_equal(batch.columns.take(kept).numbers[name], numbers, equal_nan=True)
    for name in CATEGORIES:
        assert batch.columns.take(kept).categories[name].texts() == expected.categories[name].texts()
    assert batch.property_id.tolist() == [property_id(row) for row in MIXED]
    assert batch.bucket.tolist() == [property_id(row) % 100 for row in MIXED]


def test_numbers_out_of_scope_are_seen_and_malformed_ones_are_not() -> None:
    house = rows(1)[0]
    texts = ["444.0", "3.0", "three", None, "NaN", "inf", "1e300"]
    field = batch_of([{**house, "bed": text} for text in texts]).fields["bed"]
    assert np.array_equal(field.numbers, [444.0, 3.0, np.nan, np.nan, np.nan, np.nan, 1e300], equal_nan=True)
    assert field.missing.tolist() == [False, False, False, True, True, False, False]
    assert field.malformed.tolist() == [False, False, True, False, False, True, False]


def test_no_rows_are_a_batch_too() -> None:
    batch = batch_of([])
    assert len(batch) == 0
    assert len(batch.columns) == 0


def test_the_reference_counts_what_was_cleaned() -> None:
    found = reference_of(MIXED)
    listings = [one for row in MIXED if isinstance(one := parse(row), PricedListing)]
    assert found.rows == len(listings)
    assert found.numbers["acre_lot"].missing == len(listings)
    price = found.numbers["price"]
    assert np.repeat(price.values, price.counts).tolist() == sorted(one.price for one in listings)
    assert found.texts["status"] == Counter(one.status for one in listings)
    days = found.numbers["prev_sold_date"]
    assert np.repeat(days.values, days.counts).tolist() == sorted(
        float(one.prev_sold_date.toordinal()) for one in listings if one.prev_sold_date
    )
