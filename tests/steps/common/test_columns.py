"""Columns put one below the other: the same rows as the listings themselves, in that order."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.common.columns import CATEGORIES, NUMBERS, from_listings, joined
from steps.common.listing import Listing
from tests.steps.common.listings import houses

_some = st.lists(houses, max_size=12)


@given(_some, _some)
@settings(max_examples=60)
def test_rows_joined_are_those_of_the_listings_joined(one: list[Listing], other: list[Listing]) -> None:
    found, expected = joined(from_listings(one), from_listings(other)), from_listings([*one, *other])
    assert len(found) == len(one) + len(other)
    for name in NUMBERS:
        assert np.array_equal(found.numbers[name], expected.numbers[name], equal_nan=True)
    for name in CATEGORIES:
        assert found.categories[name].texts() == expected.categories[name].texts()
        assert len(set(found.categories[name].values)) == len(found.categories[name].values)
