"""Many rows at once mean what they mean one by one, in whatever pieces they come."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.common import rows
from steps.common.listing import SOURCE_FIELDS, PricedListing, Refusal, Value, parse, parse_field, property_id
from steps.common.rows import FIELDS, RowParser
from tests.steps.common.test_listing import GOOD, nearly_good, raw_rows

Row = dict[str, str | None]


def columns(some: list[Row]) -> dict[str, list[str | None]]:
    return {name: [row[name] for row in some] for name in SOURCE_FIELDS}


def told(listing: PricedListing | Refusal) -> dict[str, Value] | Refusal:
    return listing if isinstance(listing, Refusal) else dict(listing)


def parsed(parser: RowParser, some: list[Row]) -> list[tuple[dict[str, Value] | Refusal, int]]:
    """Return what the parser makes of rows, one by one."""
    found = parser.parse(columns(some))
    listings: list[dict[str, Value] | Refusal] = []
    for position in range(len(found)):
        values = {name: parser.fields[name].values[found.codes[name][position]] for name in FIELDS}
        listings.append(found.refused.get(position) or values)
    return list(zip(listings, found.property_id, strict=True))


@given(st.lists(nearly_good | raw_rows, max_size=12), st.integers(1, 5))
@settings(max_examples=300)
def test_rows_in_pieces_are_rows_one_by_one(some: list[Row], size: int) -> None:
    parser = RowParser()
    found = [one for start in range(0, len(some), size) for one in parsed(parser, some[start : start + size])]
    assert found == [(told(parse(row)), property_id(row)) for row in some]


def test_each_distinct_text_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str | None]] = []

    def counting(name: str, text: str | None) -> Value | Refusal:
        asked.append((name, text))
        return parse_field(name, text)

    monkeypatch.setattr(rows, "parse_field", counting)
    parser = RowParser()
    for _ in range(3):
        parser.parse(columns([GOOD, {**GOOD, "bed": "4.0"}]))
    assert len(asked) == len(set(asked)) == len(FIELDS) + 1


def test_another_normalising_moves_no_house(monkeypatch: pytest.MonkeyPatch) -> None:
    some: list[Row] = [{**GOOD, "street": f"{number}.0", "zip_code": f"{number}-1234"} for number in range(50)]
    before = RowParser().parse(columns(some)).property_id

    def otherwise(name: str, text: str | None) -> Value | Refusal:
        del name
        return f"something else than {text}"

    monkeypatch.setattr(rows, "parse_field", otherwise)
    assert RowParser().parse(columns(some)).property_id == before


def test_no_rows_are_no_rows() -> None:
    assert len(RowParser().parse(columns([]))) == 0
