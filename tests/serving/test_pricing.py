"""Bodies in, listings out or the rule they break; prices are the bundle's own, alone and in company."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving import pricing
from serving.pricing import NoBatch, NotJson, parse, parse_batch
from steps.common.bundle import Bundle
from steps.common.listing import LISTING_FIELDS, Listing, Reason, Refusal
from tests.serving.running import body, write_model
from tests.steps.common.listings import house, houses


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_model(tmp_path_factory.mktemp("model"), 20)


def sent(**changes: Any) -> bytes:
    return json.dumps(body(**changes)).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"zip_code": 1001}, {"zip_code": "1001.0"}, {"zip_code": " 01001-1234 "}, {"street": 1962661},
        {"status": " FOR_SALE "}, {"acre_lot": None}, {"brokered_by": 103378.0}, {"bed": 3.0},
    ],
)  # fmt: skip
def test_what_means_the_same_is_the_same_listing(changes: dict[str, Any]) -> None:
    assert parse(sent(**changes)) == house(**{key: value for key, value in changes.items() if value is None})


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"bed": 51}, Refusal(Reason.OUT_OF_SCOPE, "bed", "Input should be less than or equal to 50")),
        ({"bed": "3"}, Refusal(Reason.MALFORMED, "bed", "Input should be a valid number")),
        ({"bed": True}, Refusal(Reason.MALFORMED, "bed", "Input should be a valid number")),
        ({"bed": None}, Refusal(Reason.MALFORMED, "bed", "Input should be a valid number")),
        ({"street": True}, Refusal(Reason.MALFORMED, "street", "Input should be a valid string")),
        ({"zip_code": False}, Refusal(Reason.MALFORMED, "zip_code", "Input should be a valid string")),
        ({"state": " "}, Refusal(Reason.MISSING, "state", "is required")),
        ({"city": ""}, Refusal(Reason.MISSING, "city", "is empty; null says that it is not known")),
        ({"street": " "}, Refusal(Reason.MISSING, "street", "is empty; null says that it is not known")),
        ({"street": "x" * 81}, Refusal(Reason.MALFORMED, "street", "String should have at most 80 characters")),
        ({"acre_lot": float("nan")}, Refusal(Reason.MALFORMED, "acre_lot", "Input should be a finite number")),
        ({"prev_sold_date": "1799-12-31"}, Refusal(Reason.OUT_OF_SCOPE, "prev_sold_date",
                                                   "Input should be greater than or equal to 1800-01-01")),
        ({"price": 1}, Refusal(Reason.MALFORMED, "price", "Extra inputs are not permitted")),
        ({"x" * 500: 1}, Refusal(Reason.MALFORMED, "x" * 80, "Extra inputs are not permitted")),
    ],
)  # fmt: skip
def test_a_broken_rule_is_named_with_its_field(changes: dict[str, Any], refusal: Refusal) -> None:
    assert parse(sent(**changes)) == (refusal,)


def test_every_broken_rule_is_named() -> None:
    found = parse(b'{"bed": 0, "bath": 99}')
    assert isinstance(found, tuple)
    assert [one.field for one in found] == ["status", "bed", "bath", "house_size", "state", "zip_code"]
    (only,) = parse(b"[]")
    assert only == Refusal(Reason.MALFORMED, "listing", "Input should be an object")


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"bed": 3,}'])
def test_what_is_not_json_is_said_to_be_that(text: bytes) -> None:
    for way in (parse, lambda body: parse_batch(body, 10)):
        with pytest.raises(NotJson):
            way(text)


def test_one_bad_row_fails_no_other() -> None:
    rows: list[Any] = [body(), 7, body(bed=99), body(bath=1), {}, body(zip_code="x", bed=99)]
    found = parse_batch(json.dumps({"listings": rows}).encode(), 10)
    assert found.rows == 6
    assert found.listings == {0: house(), 3: house(bath=1)}
    assert {row: why.field for row, (_, why) in found.refused.items()} == {
        1: "listing", 2: "bed", 4: "status", 5: "bed",
    }  # fmt: skip
    assert found.refused[1][0] == {"sent": 7}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([], "listing: Input should be an object"),
        ({}, "listings: is required"),
        ({"listings": []}, "listings: List should have at least 1 item after validation, not 0"),
        ({"listings": 1}, "listings: Input should be a valid array"),
        ({"listings": [1], "more": 1}, "more: Extra inputs are not permitted"),
        ({"listings": [1] * 6}, "listings: at most 5 listings are taken at once"),
        ({"listings": [body()] * 6}, "listings: at most 5 listings are taken at once"),
    ],
)
def test_what_is_no_batch_is_refused_whole(content: Any, sentence: str) -> None:
    with pytest.raises(NoBatch, match=sentence):
        parse_batch(json.dumps(content).encode(), 5)


def test_millions_of_bad_rows_are_not_looked_at_one_by_one() -> None:
    with pytest.raises(NoBatch) as refused:
        parse_batch(b'{"listings": [' + b",".join([b"1"] * 1_000_000) + b"]}", 10_000)
    assert refused.value.refusal.field == "listings"
    assert "10000" in refused.value.refusal.rule


def test_millions_of_made_up_fields_are_not_looked_at_one_by_one() -> None:
    made_up = ",".join(f'"{number}":0' for number in range(200_000))
    with pytest.raises(NoBatch) as refused:
        parse_batch(b'{"listings": [{%b}]}' % made_up.encode(), 10_000)
    assert refused.value.refusal == Refusal(Reason.OUT_OF_SCOPE, "listings", "more fields than 10,000 listings have")


def test_a_full_batch_whose_texts_hold_colons_is_taken() -> None:
    rows = [body(city="a: b: c", street=f"{number}: d") for number in range(1000)]
    assert len(parse_batch(json.dumps({"listings": rows}).encode(), 1000).listings) == 1000


def test_what_is_kept_of_a_refused_body_is_bounded() -> None:
    kept = pricing.bounded({"city": "x" * 9999, "owner": "somebody", "bed": {"a": ["b"] * 9999}, "bath": 1e300})
    assert kept == {"city": "x" * 200, "bed": repr({"a": ["b"] * 9999})[:200], "bath": "1e+300"}
    assert pricing.sent(b"nonsense" * 99) == {"sent": ("nonsense" * 99)[:200]}
    assert len(json.dumps(pricing.sent(json.dumps(["x" * 9999]).encode()))) < 300


@given(st.lists(houses, min_size=1, max_size=40))
@settings(max_examples=60)
def test_a_price_does_not_depend_on_the_way_it_came(bundle: Bundle, listings: list[Listing]) -> None:
    wanted = bundle.prices(listings).tolist()
    bodies = [listing.model_dump_json().encode() for listing in listings]
    alone = [parse(one) for one in bodies]
    assert alone == listings
    assert [bundle.prices([one]).tolist() for one in listings] == [[price] for price in wanted]
    together = parse_batch(b'{"listings": [' + b",".join(bodies) + b"]}", 40)
    prices, unseen = pricing.prices(bundle, list(together.listings.values()))
    assert prices == wanted
    assert [tuple(fields) for fields in unseen] == [bundle.encodings.unseen(one) for one in listings]


def test_a_batch_of_no_houses_has_no_prices(bundle: Bundle) -> None:
    assert pricing.prices(bundle, []) == ([], [])


def test_the_schema_says_what_is_taken() -> None:
    schema = Listing.model_json_schema()
    assert set(schema["properties"]) == set(LISTING_FIELDS)
    for name, field in schema["properties"].items():
        assert field["title"], name
        assert field["description"], name
        assert field["examples"], name
    assert schema["properties"]["bed"]["maximum"] == 50
