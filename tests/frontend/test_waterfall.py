"""The bars add up to the price whatever the contributions, also where the smallest are drawn as one."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontend import texts
from frontend.waterfall import MOST, Bar, bars, force, pushing, value, waterfall

amounts = st.lists(st.floats(-400_000, 400_000).map(lambda value: round(value, 2)), min_size=1, max_size=30)


def explanation(dollars: list[float], base: float = 220_000.0) -> dict[str, Any]:
    return {
        "base": {"dollars": base},
        "price": base + sum(dollars),
        "contributions": [
            {"feature": f"f{place}", "title": f"Feature {place}", "value": str(place), "dollars": amount}
            for place, amount in enumerate(dollars)
        ],
    }


@given(amounts)
def test_the_bars_go_from_the_base_to_the_price(dollars: list[float]) -> None:
    given_answer = explanation(dollars)
    found = bars(given_answer)
    assert len(found) <= MOST + 1
    assert found[0].start == given_answer["base"]["dollars"]
    assert found[-1].end == pytest.approx(given_answer["price"], abs=0.01)
    assert all(one.end == pytest.approx(one.start + one.amount) for one in found)
    assert all(one.start == before.end for before, one in pairwise(found))


def test_what_is_beyond_the_largest_is_one_bar() -> None:
    found = bars(explanation([1000.0] * 20))
    assert (len(found), found[-1].amount) == (MOST + 1, 5000.0)
    assert "5" in found[-1].name


@given(amounts)
def test_the_force_plot_meets_at_the_price_and_leaves_nothing_out(dollars: list[float]) -> None:
    answer = explanation(dollars)
    found, price = bars(answer), answer["price"]
    raising, lowering = (pushing(found, price, up=up) for up in (True, False))
    assert sum(row["end"] - row["start"] for row in raising) == pytest.approx(
        sum(bar.amount for bar in found if bar.amount > 0)
    )
    assert sum(row["start"] - row["end"] for row in lowering) == pytest.approx(
        sum(bar.amount for bar in found if bar.amount < 0)
    )
    assert not raising or raising[0]["end"] == price
    assert not lowering or lowering[0]["start"] == price
    assert all(near["start"] == far["end"] for near, far in pairwise(raising))
    assert all(near["end"] == far["start"] for near, far in pairwise(lowering))


def test_both_pictures_have_an_axis_with_its_unit() -> None:
    found = [Bar("Lot", "0.25 acres", 1200.0, 100.0, 1300.0)]
    for drawn in (waterfall(found, 100.0, 1300.0), force(found, 100.0, 1300.0)):
        assert "Price, US dollars" in drawn.to_json()


@pytest.mark.parametrize(("feature", "given_value", "wanted"), [
    ("city_price", "agawam, massachusetts", "Agawam, Massachusetts"),
    ("city_price", "new york (never seen), ohio", "New York (never seen), Ohio"),
    ("status_price", "for_sale", "For sale"), ("zip_price", "01001", "01001"),
    ("house_size", "1,800 sqft", "1,800 sq ft"), ("acre_lot", "0.25 acres", "0.25 acres"),
    ("city_price", "not given, ohio", "not given, Ohio"), ("acre_lot", "not given", "not given"),
    ("prev_sold_month", "March", "March"), ("zip_number", "01001 (never seen)", "01001 (never seen)"),
    ("city_price", "green acres (never seen), new york", "Green Acres (never seen), New York"),
])  # fmt: skip
def test_values_as_people_write_them(feature: str, given_value: str, wanted: str) -> None:
    assert value({"feature": feature, "value": given_value}) == wanted


@pytest.mark.parametrize(("feature", "given_value", "wanted"), [
    ("city_price", "green acres (never seen), ohio", "Green Acres (nunca visto), Ohio"),
    ("status_price", "for_sale", "En venta"), ("house_size", "1,800 sqft", "1,800 pies²"),
    ("prev_sold_month", "March", "marzo"), ("broker_price", "not given", "no indicado"),
    ("zip_number", "01001 (never seen)", "01001 (nunca visto)"),
])  # fmt: skip
def test_values_in_spanish(monkeypatch: pytest.MonkeyPatch, feature: str, given_value: str, wanted: str) -> None:
    monkeypatch.setattr(texts, "language", lambda: "es")
    assert value({"feature": feature, "value": given_value}) == wanted
