"""Files as people send them: columns in any order, other delimiters, too much, nothing, and formulas in cells."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontend import csv_rows
from frontend.csv_rows import MOST_ROWS, FileRefused, harmless, parse, template, written
from frontend.form import Field, Kind


def field(name: str, kind: Kind = "text", *, required: bool = True, example: object = "x") -> Field:
    return Field(name, kind, name.title(), "", "", required, whole=False, minimum=None, maximum=None, example=example)


FIELDS = (field("state"), field("bed", "number", example=3), field("city", required=False))


def test_columns_are_matched_by_name_in_any_order_and_others_are_named() -> None:
    found = parse(b"Bed,colour,STATE\n3,red,Ohio\n\n4,blue,Maine\n", FIELDS)
    assert [(row.line, row.listing(FIELDS)) for row in found.rows] == [
        (2, {"bed": 3, "state": "Ohio"}), (4, {"bed": 4, "state": "Maine"}),
    ]  # fmt: skip
    assert found.ignored == ("colour",)


def test_a_line_is_the_files_also_after_a_cell_of_several_lines() -> None:
    found = parse(b'state,bed,city\r\n"Ohio",1,"Avon\r\nLake"\r\n\r\nMaine,2,Bath\r\n', FIELDS)
    assert [row.line for row in found.rows] == [2, 5]


@pytest.mark.parametrize("content", [
    "state;bed\nÅland;3\n".encode("cp1252"), "state\tbed\nÅland\t3\n".encode(),
    "state,bed\nÅland,3\n".encode("utf-8-sig"),
    'state,bed\r\n"Åland","3"\r\n'.encode(),
])  # fmt: skip
def test_what_spreadsheets_write_is_read(content: bytes) -> None:
    assert parse(content, FIELDS).rows[0].listing(FIELDS) == {"state": "Åland", "bed": 3}


@pytest.mark.parametrize(("content", "key", "said"), [
    (b"", "batch.columns_missing", "state, bed"),
    (b"state,city\nOhio,Avon\n", "batch.columns_missing", "bed"),
    (b"state,bed,bed\nOhio,1,2\n", "batch.columns_twice", "bed"),
    (b"state,bed\n\n", "batch.no_rows", ""),
    (b"PK\x03\x04\0\0", "batch.not_text", ""),
    (b"state,bed\n" + b"Ohio,1\n" * (MOST_ROWS + 1), "batch.too_many_rows", str(MOST_ROWS)),
    (b"state,bed\n" + b"x" * 200_000 + b",1\n", "batch.not_csv", ""),
])  # fmt: skip
def test_a_file_that_is_no_batch_says_which_rule_it_breaks(content: bytes, key: str, said: str) -> None:
    with pytest.raises(FileRefused) as refused:
        parse(content, FIELDS)
    assert refused.value.key == key
    assert said in " ".join(map(str, refused.value.values.values()))


def test_a_file_that_is_too_large_is_not_even_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_rows, "MOST_BYTES", 5)
    with pytest.raises(FileRefused, match="too_many_bytes"):
        parse(b"state,bed\nOhio,1\n", FIELDS)


def test_a_row_with_a_cell_too_many_is_marked() -> None:
    assert [row.whole for row in parse(b"state,bed\nOhio,1\nOhio,1,2\nOhio\n", FIELDS).rows] == [True, False, False]


@pytest.mark.parametrize("cell", ["three", "NaN", "inf", "1,800", "1_800"])
def test_a_number_that_is_none_is_sent_as_it_is_for_the_api_to_refuse(cell: str) -> None:
    assert parse(f'state,bed\nOhio,"{cell}"\n'.encode(), FIELDS).rows[0].listing(FIELDS)["bed"] == cell


def test_the_template_is_a_batch_of_one_row() -> None:
    assert parse(template(FIELDS), FIELDS).rows[0].listing(FIELDS) == {"state": "x", "bed": 3, "city": "x"}


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_that_is_written_is_a_formula(cell: str) -> None:
    assert harmless(cell) == f"'{cell}"
    assert harmless("Ohio=1") == "Ohio=1"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1, max_size=5))
def test_what_is_written_is_read_back_as_it_was_and_begins_no_formula(cells: list[str]) -> None:
    content = written([f"c{number}" for number in range(len(cells))], [cells]).decode("utf-8-sig")
    (back,) = list(csv.reader(io.StringIO(content, newline="")))[1:]
    assert back == [harmless(cell) for cell in cells]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in back)
