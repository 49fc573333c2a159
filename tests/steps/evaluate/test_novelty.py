"""What is outside the champion's experience: told from the listing, by new values and by numbers beyond its range."""

import numpy as np
import pytest

from steps.common.columns import Category, Columns
from steps.common.explanation import Novelty
from steps.common.store.clean import Listings
from steps.evaluate.novelty import outside, ranges
from tests.steps.evaluate.houses import draw, together
from tests.steps.evaluate.planted import bundle_of

TRAIN = draw(3000, 1)
KNOWN = bundle_of(TRAIN).encodings
RANGES = ranges(TRAIN.columns)


def changed(rows: Listings, field: str, of: slice, value: float | str) -> Listings:
    """Return rows of which some have another value of a field."""
    numbers, categories = dict(rows.columns.numbers), dict(rows.columns.categories)
    if isinstance(value, str):
        codes = categories[field].codes.copy()
        codes[of] = len(categories[field].values)
        categories[field] = Category(codes, (*categories[field].values, value))
    else:
        numbers[field] = numbers[field].copy()
        numbers[field][of] = value
    others = {name: getattr(rows, name) for name in ("price", "property_id", "bucket", "batch_number", "row_number")}
    return Listings(Columns(numbers, categories), **others)


ROWS = together(draw(1000, 2), draw(1000, 3, batch=1))
NEW = ROWS.batch_number == 1
SOME = slice(1000, 1200)


@pytest.mark.parametrize(
    ("field", "value"),
    [("state", "guam"), ("status", "rented"), ("zip_code", "99999"), ("house_size", 49_000.0), ("bed", 40.0)],
)
def test_new_houses_unlike_any_before_are_outside_and_named(field: str, value: float | str) -> None:
    found, named = outside(changed(ROWS, field, SOME, value).columns, NEW, KNOWN, RANGES)
    assert np.array_equal(np.flatnonzero(found[NEW]), np.arange(200))
    one = next(one for one in named if one.field == field)
    assert (one.rows, one.share, one.rows_before) == (200, 0.2, 0)
    assert one.value == (value if field in {"state", "status"} else None)
    assert ((one.low, one.high) == RANGES.get(field)) == isinstance(value, float)


def test_a_state_of_one_house_is_named_and_a_zip_code_of_one_is_everyday_business() -> None:
    for field, value, count in (("state", "guam", 1), ("zip_code", "99999", 0)):
        found, named = outside(changed(ROWS, field, slice(1000, 1001), value).columns, NEW, KNOWN, RANGES)
        assert (int(found[NEW].sum()), [one.value for one in named if one.field == field]) == (count, ["guam"] * count)


def test_what_is_as_frequent_before_is_not_outside() -> None:
    rows = changed(changed(ROWS, "zip_code", SOME, "99999"), "zip_code", slice(0, 100), "99998")
    assert not outside(rows.columns, NEW, KNOWN, RANGES)[0].any()


def test_the_same_market_has_nothing_outside() -> None:
    found, named = outside(ROWS.columns, NEW, KNOWN, RANGES)
    assert (int(found[NEW].sum()), named) == (0, ())


def test_a_missing_number_is_not_beyond_any_range() -> None:
    rows = changed(ROWS, "bed", SOME, float("nan"))
    assert not outside(rows.columns, NEW, KNOWN, RANGES)[0].any()
    assert "acre_lot" not in RANGES


def test_a_kind_of_sale_that_was_never_met_puts_all_of_a_batch_outside() -> None:
    found, named = outside(changed(ROWS, "status", slice(1000, 2000), "sold off").columns, NEW, KNOWN, RANGES)
    assert found[NEW].all()
    assert named[0] == Novelty(field="status", value="sold off", rows=1000, share=1.0, rows_before=0)
