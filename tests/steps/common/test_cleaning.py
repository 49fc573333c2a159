"""Cleaning a batch: every row is a listing or a refusal with its reason, and nothing is lost or counted twice."""

from collections import Counter
from collections.abc import Iterator

from steps.common.cleaning import Cleaning
from steps.common.listing import SOURCE_FIELDS, PricedListing, Refusal, bucket, parse, property_id
from steps.common.store.clean import COUNTED_FIELDS, IDENTITY, STORED_FIELDS
from steps.common.store.copying import written
from steps.common.store.raw import RawRows
from tests.steps.batches import ODD, Row, rows


def in_pieces(some: list[Row], size: int = 7) -> Iterator[RawRows]:
    for start in range(0, len(some), size):
        piece = some[start : start + size]
        fields = {name: [row[name] for row in piece] for name in SOURCE_FIELDS}
        yield RawRows(list(range(start, start + len(piece))), fields)


def cleaned(some: list[Row]) -> tuple[Cleaning, list[tuple[str, ...]]]:
    cleaning = Cleaning()
    blocks = [list(zip(*block, strict=True)) for block in cleaning.columns(in_pieces(some))]
    return cleaning, [row for block in blocks for row in block]


def expected(number: int, row: Row) -> tuple[str, ...]:
    found, house = parse(row), property_id(row)
    assert isinstance(found, PricedListing)
    fields = [written(getattr(found, name)) for name in STORED_FIELDS]
    return (str(number), str(house), str(bucket(house)), *fields)


def test_rows_become_listings_or_refusals_in_their_order() -> None:
    some = rows(40)
    mixed = [{**row, **ODD[number % len(ODD)]} if number % 3 == 0 else row for number, row in enumerate(some)]
    cleaning, listings = cleaned(mixed)
    one_by_one = [(number, parse(row)) for number, row in enumerate(mixed)]
    assert listings == [
        expected(number, mixed[number]) for number, found in one_by_one if not isinstance(found, Refusal)
    ]
    assert cleaning.refusals == [(number, found) for number, found in one_by_one if isinstance(found, Refusal)]


def test_the_summary_adds_up() -> None:
    some = rows(60)
    twice = [*some, *some[:10], *({**some[0], **odd} for odd in ODD)]
    cleaning, listings = cleaned(twice)
    summary = cleaning.summary()
    assert summary["rows"] == len(twice) == summary["kept"] + summary["refused"]
    assert summary["kept"] == len(listings) == summary["train_rows"] + summary["test_rows"]
    assert summary["refused"] == len(ODD) == sum(summary["refused_by_reason"].values())
    assert summary["refused_by_reason"]["OUT_OF_SCOPE bed"] == 1
    assert summary["refused_by_reason"]["MISSING price"] == 2
    assert summary["properties"] == 60
    houses = [int(row[IDENTITY.index("property_id")]) for row in listings]
    assert summary["test_rows"] == sum(house % 100 < 20 for house in houses)


def test_values_are_counted_as_they_are_stored() -> None:
    some = [*rows(30), *rows(5, seed=1, city=None), {**rows(1)[0], "bed": "444.0", "city": "Nowhere"}]
    cleaning, listings = cleaned(some)
    for field in COUNTED_FIELDS:
        column = [row[len(IDENTITY) + STORED_FIELDS.index(field)] for row in listings]
        assert cleaning.value_counts[field] == {value: n for value, n in Counter(column).items() if value != r"\N"}
    assert "nowhere" not in cleaning.value_counts["city"]


def test_a_batch_of_nothing_but_refusals_and_one_of_nothing() -> None:
    cleaning, listings = cleaned(rows(20, price="1.0"))
    assert listings == []
    assert cleaning.summary()["refused_by_reason"] == {"OUT_OF_SCOPE price": 20}
    assert cleaned([])[0].summary()["rows"] == 0
