"""What a model sees of a house: the same for one as for many, nothing of its own price, sense where data is missing."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.common.columns import Columns, from_listings
from steps.common.features import (
    ENCODINGS,
    FEATURES,
    SOURCES,
    Encodings,
    features,
    fit_encodings,
    training_features,
)
from steps.common.listing import LISTING_FIELDS, Listing
from tests.steps.common.listings import house, houses, market, market_columns

MARKET, PRICES, BUCKETS = market(600)
ENCODED = fit_encodings(from_listings(MARKET), PRICES)


def value(listing: Listing, feature: str, encodings: Encodings = ENCODED) -> float:
    return float(features([listing], encodings)[0, FEATURES.index(feature)])


@settings(max_examples=150)
@given(st.lists(houses, min_size=1, max_size=45), st.data())
def test_one_by_one_or_all_at_once_the_bits_are_the_same(listings: list[Listing], data: st.DataObject) -> None:
    prices = np.array(data.draw(st.lists(st.floats(1e4, 1e7), min_size=len(listings), max_size=len(listings))))
    # Look-ups of half of them: the others bring values never seen, and fields that are missing everywhere.
    half = listings[: (len(listings) + 1) // 2]
    encodings = fit_encodings(from_listings(half), prices[: len(half)])
    together = features(from_listings(listings), encodings)
    single = np.concatenate([features([listing], encodings) for listing in listings])
    assert together.dtype == np.float32
    assert together.tobytes() == single.tobytes() == features(listings, encodings).tobytes()
    assert np.isfinite(together).all()


def test_a_row_keeps_its_bits_in_any_company() -> None:
    columns = from_listings(MARKET)
    order = np.random.default_rng(0).permutation(len(MARKET))
    assert features(columns, ENCODED)[order].tobytes() == features(columns.take(order), ENCODED).tobytes()


def test_the_matrix_has_the_features_in_their_order() -> None:
    one = house(bed=4, bath=2.5, acre_lot=0.5, house_size=2000, prev_sold_date="1999-12-31", zip_code=1001.0)
    row = features([one], ENCODED)[0]
    assert row[:7].tolist() == [4, 2.5, 0.5, 2000, 1999, 12, 1001]
    assert len(row) == len(FEATURES) == len(set(FEATURES))
    assert set(SOURCES) == set(FEATURES)
    assert {field for fields in SOURCES.values() for field in fields} == set(LISTING_FIELDS) - {"street"}


def test_no_feature_can_be_computed_from_the_price() -> None:
    names = {field.name for field in dataclasses.fields(Columns)}
    assert names == {"numbers", "categories"}
    columns = from_listings(MARKET)
    assert "price" not in {*columns.numbers, *columns.categories}
    # A train row's features come from other rows' prices alone: changing its own changes nothing of it.
    before = training_features(columns, PRICES, BUCKETS)
    for bucket in (20, 57, 99):
        mine = np.equal(BUCKETS, bucket)
        assert mine.any()
        after = training_features(columns, np.where(mine, PRICES * 3, PRICES), BUCKETS)
        assert after[mine].tobytes() == before[mine].tobytes()
        assert after[~mine].tobytes() != before[~mine].tobytes()


def test_values_never_seen_take_the_wider_place_then_everybodys_mean() -> None:
    overall = round(float(PRICES.mean()), 2)
    known = MARKET[0]
    nowhere = house(state="Atlantis", city="Atlantis", zip_code="99999", brokered_by="none such", status="to be dreamt")
    for feature in ("state_price", "city_price", "zip_price", "broker_price", "status_price", "zip_status_price"):
        assert value(nowhere, feature) == np.float32(overall)
    moved = known.model_copy(update={"city": "Atlantis", "zip_code": "99999"})
    assert value(moved, "city_price") == value(moved, "zip_price") == value(known, "state_price") != np.float32(overall)
    renamed = known.model_copy(update={"status": "to be dreamt"})
    assert value(renamed, "zip_status_price") == value(known, "zip_price")
    same_name = known.model_copy(update={"state": "Atlantis"})
    assert value(same_name, "city_price") == np.float32(overall), "a city is a city of its state"


def test_missing_optionals_take_the_train_parts_median_or_mean() -> None:
    bare = house(acre_lot=None, city=None, street=None, brokered_by=None, prev_sold_date=None)
    columns = from_listings(MARKET)
    for name in ("acre_lot", "prev_sold_year", "prev_sold_month"):
        assert value(bare, name) == np.float32(np.median(columns.numbers[name]))
    assert value(bare, "broker_price") == np.float32(round(float(PRICES.mean()), 2))
    everywhere = fit_encodings(from_listings([bare, bare]), np.array([1e5, 3e5]))
    assert np.isfinite(features([bare], everywhere)).all()


def test_a_place_seen_once_is_not_simply_its_one_price() -> None:
    lonely = house(state="Wyoming", city="Cody", zip_code="82414")
    encodings = fit_encodings(from_listings([*MARKET, lonely]), np.append(PRICES, 5_000_000.0))
    assert PRICES.mean() < value(lonely, "state_price", encodings) < 4_000_000
    assert value(MARKET[0], "state_price", encodings) == pytest.approx(value(MARKET[0], "state_price"), rel=0.05)


def test_look_ups_find_the_level_of_each_place() -> None:
    columns = from_listings(MARKET)
    zips = columns.categories["zip_code"].texts()
    many = max(set(zips), key=zips.count)
    rows = np.array([text == many for text in zips])
    assert ENCODED.look_ups["zip_price"].values[str(many)] == pytest.approx(float(PRICES[rows].mean()), rel=0.15)
    per_foot = PRICES[rows] / columns.numbers["house_size"][rows]
    found = ENCODED.look_ups["zip_square_foot_price"].values[str(many)]
    assert found == pytest.approx(float(per_foot.mean()), rel=0.25)


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_handful_of_rows_is_enough(rows: int) -> None:
    columns, price, bucket = market_columns(rows)
    assert np.isfinite(training_features(columns, price, bucket)).all()
    assert np.isfinite(features(columns, fit_encodings(columns, price))).all()


def test_nothing_gives_no_look_ups_and_no_rows() -> None:
    with pytest.raises(ValueError, match="no listings"):
        fit_encodings(from_listings([]), np.array([]))
    assert features([], ENCODED).shape == (0, len(FEATURES))
    assert features(from_listings([]), ENCODED).shape == (0, len(FEATURES))


def test_encodings_survive_json_bit_for_bit_and_know_their_version() -> None:
    plain = json.loads(json.dumps(ENCODED.as_json()))
    again = Encodings.from_json(plain)
    assert again == ENCODED
    assert features(MARKET, again).tobytes() == features(MARKET, ENCODED).tobytes()
    with pytest.raises(ValueError, match="features_v0"):
        Encodings.from_json({**plain, "version": "features_v0"})
    with pytest.raises(ValueError, match="this code reads"):
        Encodings.from_json({**plain, "look_ups": {}})


def test_unseen_values_are_named_by_field() -> None:
    known = MARKET[0]
    assert ENCODED.unseen(known) == ()
    assert ENCODED.unseen(known.model_copy(update={"city": None, "brokered_by": None})) == ()
    assert ENCODED.unseen(known.model_copy(update={"zip_code": "99999"})) == ("zip_code",)
    strange = known.model_copy(update={"state": "x", "brokered_by": "y", "status": "z"})
    assert ENCODED.unseen(strange) == ("state", "city", "brokered_by", "status")


@settings(max_examples=50)
@given(st.lists(houses, min_size=1, max_size=20))
def test_unseen_values_of_many_are_those_of_each(listings: list[Listing]) -> None:
    half = listings[: (len(listings) + 1) // 2]
    encodings = fit_encodings(from_listings(half), np.full(len(half), 1e5))
    found = encodings.unseen_rows(from_listings(listings))
    for row, listing in enumerate(listings):
        assert tuple(field for field, rows in found.items() if rows[row]) == encodings.unseen(listing)


def test_a_wider_place_stands_before_the_ones_in_it() -> None:
    seen: set[str] = set()
    for encoding in ENCODINGS:
        assert encoding.wider is None or encoding.wider in seen
        seen.add(encoding.feature)
