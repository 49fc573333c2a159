"""An explanation adds up: in log price to the margin, in dollars to the cent; and it is in words."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.explanation import NOT_GIVEN, TITLES, dollars, explain, words
from steps.common.bundle import Bundle
from steps.common.features import FEATURES, SOURCES
from steps.common.listing import Listing
from tests.serving.running import write_model
from tests.steps.common.listings import house, houses


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_model(tmp_path_factory.mktemp("model"), 20)


@given(houses)
@settings(max_examples=100)
def test_contributions_add_up(bundle: Bundle, listing: Listing) -> None:
    price, log_price, base, found = explain(bundle, listing)
    assert price == bundle.prices([listing])[0]
    assert sorted(one["feature"] for one in found) == sorted(FEATURES)
    parts = sum(one["log_price"] for one in found)
    assert base["log_price"] + parts == pytest.approx(log_price, rel=1e-4)
    assert base["log_price"] == bundle.contributions([listing])[0, -1]
    cents = sum(round(100 * one["dollars"]) for one in found)
    assert round(100 * base["dollars"]) + cents == round(100 * price)
    assert [abs(one["log_price"]) for one in found] == sorted((abs(one["log_price"]) for one in found), reverse=True)


parts = st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=14)


@given(parts, st.floats(9.2, 16.1))
def test_dollars_are_the_rule_and_the_rest_is_in_the_largest(contributions: list[float], base: float) -> None:
    first, last = round(math.exp(base), 2), round(math.exp(base + sum(contributions)), 2)
    amounts = dollars(contributions, last, first)
    assert round(sum(amounts), 2) == pytest.approx(last - first, abs=0.005)
    rate = last if last == first else (last - first) / (math.log(last) - math.log(first))
    largest = max(range(len(contributions)), key=lambda place: abs(contributions[place]))
    for place, (part, amount) in enumerate(zip(contributions, amounts, strict=True)):
        if place != largest:
            assert amount == pytest.approx(rate * part, abs=0.0051)


def test_without_a_difference_the_rate_is_the_price() -> None:
    assert dollars([0.1, -0.1, 0.0], 200_000.0, 200_000.0) == [20_000.0, -20_000.0, 0.0]


def test_every_feature_has_words() -> None:
    assert TITLES.keys() == SOURCES.keys()
    listing = house(prev_sold_date=None, acre_lot=None, city=None)
    told = {name: words(name, listing, frozenset({"state"})) for name in FEATURES}
    assert told == {
        "bed": "3", "bath": "2", "acre_lot": NOT_GIVEN, "house_size": "1,800 sqft", "prev_sold_year": NOT_GIVEN,
        "prev_sold_month": NOT_GIVEN, "zip_number": "01001", "state_price": "massachusetts (never seen)",
        "city_price": "not given, massachusetts (never seen)", "zip_price": "01001", "broker_price": "103378",
        "status_price": "for_sale", "zip_status_price": "for_sale, 01001", "zip_square_foot_price": "01001",
    }  # fmt: skip
    assert words("prev_sold_month", house(), frozenset()) == "March"
    assert words("acre_lot", house(), frozenset()) == "0.25 acres"
