"""Reading batches from texts: against json.loads for any values and any cut, and every text that is no batch."""

import io
import json
import random
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.common.listing import SOURCE_FIELDS
from steps.common.store.copying import cells, read
from steps.fetch.answer import BatchText
from steps.fetch.reason import NotABatch, Reason

ROW = {
    "brokered_by": 103378.0, "status": "for_sale", "price": 289900.0, "bed": 4.0, "bath": 2.0, "acre_lot": 0.38,
    "street": 1758218.0, "city": "East Windsor", "state": "Connecticut", "zip_code": 6016.0, "house_size": 1617.0,
    "prev_sold_date": "1999-09-30",
}  # fmt: skip
TRICKY = [
    "null",
    '"',
    "\\",
    "},{",
    "},",
    "}]",
    "],[",
    "]]}",
    "[",
    "{",
    '"},{"',
    "\\N",
    "\t",
    "\n",
    "\r",
    "\b\f\v",
    "é",
    "𝄞",
]

texts = st.lists(
    st.sampled_from(TRICKY) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=4
).map("".join)
numbers = st.integers(-(10**18), 10**18) | st.floats(allow_nan=False, allow_infinity=False)
values = st.none() | st.booleans() | numbers | texts.filter(lambda text: "\0" not in text)
rows = st.lists(st.fixed_dictionaries(dict.fromkeys(SOURCE_FIELDS, values)), min_size=1, max_size=8)


def text_of(
    rows: list[dict[str, Any]], *, shape: Any = None, order: tuple[str, ...] = (), indent: int | None = None,
    separators: tuple[str, str] | None = None, ascii_only: bool = True, as_lists: bool = False,
) -> bytes:  # fmt: skip
    """Return an answer as some server would write it."""
    data = [[row[name] for name in SOURCE_FIELDS] for row in rows] if as_lists else rows
    answer = {"group_number": 1, "day": "Monday", "batch_number": 7, "data": data, **(shape or {})}
    answer = {name: answer[name] for name in (*order, *answer) if name in answer}
    return json.dumps(answer, indent=indent, separators=separators, ensure_ascii=ascii_only).encode()


def taken(body: bytes, window: int = 1 << 16, most_rows: float = 1e9) -> tuple[BatchText, list[dict[str, Any]]]:
    """Return what a text was read as, with its rows as RAW would hold them."""
    text = BatchText(io.BytesIO(body), 1, most_rows, window)
    found: list[dict[str, Any]] = []
    for block in text.lines():
        columns = [list(map(read, column)) for column in cells(block.text, len(SOURCE_FIELDS))]
        found += [dict(zip(SOURCE_FIELDS, row, strict=True)) for row in zip(*columns, strict=True)]
    return text, found


def as_received(body: bytes) -> list[dict[str, Any]]:
    """Return the rows of a text by the standard library, each number and literal as it stands there."""
    data = json.loads(body, parse_float=str, parse_int=str, parse_constant=reject)["data"]
    rows = [dict(zip(SOURCE_FIELDS, row, strict=True)) if isinstance(row, list) else row for row in data]
    literal = {True: "true", False: "false"}
    return [{name: literal[v] if isinstance(v, bool) else v for name, v in row.items()} for row in rows]


def reject(constant: str) -> None:
    raise ValueError(constant)


@given(
    rows=rows,
    window=st.integers(1, 200) | st.just(1 << 16),
    indent=st.none() | st.integers(0, 2),
    separators=st.none() | st.sampled_from([(",", ":"), (" , ", " : ")]),
    ascii_only=st.booleans(),
    as_lists=st.booleans(),
    order=st.permutations(["data", "batch_number", "group_number"]),
)
@settings(max_examples=120)
def test_any_rows_in_any_writing_cut_anywhere_are_read_as_they_were_sent(
    rows: list[dict[str, Any]], window: int, indent: int | None, separators: tuple[str, str] | None,
    ascii_only: bool, as_lists: bool, order: list[str],
) -> None:  # fmt: skip
    body = text_of(
        rows, indent=indent, separators=separators, ascii_only=ascii_only, as_lists=as_lists, order=tuple(order)
    )
    text, found = taken(body, window)
    assert found == as_received(body)
    assert (text.number, text.rows) == (7, len(rows))
    assert text.early_number == (7 if order.index("batch_number") < order.index("data") else None)
    # Another writing of the same rows has the same content.
    assert text.content_sha == taken(text_of(rows, as_lists=not as_lists))[0].content_sha


@given(rows=rows, data=st.data())
@settings(max_examples=80)
def test_a_text_that_stops_anywhere_is_never_a_batch(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    body = text_of(rows)
    end = data.draw(st.integers(0, len(body) - 1))
    with pytest.raises(NotABatch):
        taken(body[:end], data.draw(st.integers(1, 200)))


@given(rows=rows, data=st.data())
@settings(max_examples=200)
def test_a_spoilt_text_is_refused_or_means_what_json_says(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    body = bytearray(text_of(rows))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from([b"", b'"', b"\\", b",", b"[", b"]", b"{", b"}", b" ", b"1", b"\xff", b"null", b"NaN"])
        )
    try:
        _, found = taken(bytes(body), data.draw(st.integers(1, 200)))
    except NotABatch:
        return
    assert found == as_received(bytes(body))


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in ROW.items() if key != name}


def replaced(old: str, new: str) -> bytes:
    body = text_of([ROW, ROW])
    assert old.encode() in body
    return body.replace(old.encode(), new.encode("utf-8", "surrogatepass"), 1)


@pytest.mark.parametrize(
    ("body", "reason", "detail"),
    [
        (b"", Reason.NOT_JSON, ""),
        (b"<!DOCTYPE html>", Reason.NOT_JSON, "begins with b'<'"),
        (b"[1, 2]", Reason.NOT_JSON, "begins with b'['"),
        (b'{"detail": "no"}', Reason.EXTRA_KEY, "detail"),
        (b'{"group_number": 1, "batch_number": 1}', Reason.MISSING_KEY, "data"),
        (b'{"group_number": 1,', Reason.TRUNCATED, ""),
        (b'{"group_number": 1, "batch_number": 1, "data": "rows"}', Reason.OTHER_SHAPE, ""),
        (text_of([]), Reason.EMPTY, ""),
        (text_of([ROW])[:-1], Reason.TRUNCATED, ""),
        (text_of([ROW])[:-40], Reason.TRUNCATED, "after row 0"),
        (text_of([ROW]) + b"x", Reason.NOT_JSON, ""),
        (text_of([ROW]) + text_of([ROW]), Reason.NOT_JSON, ""),
        (text_of([ROW, without("price")]), Reason.MISSING_KEY, "`price` (row 1)"),
        (text_of([ROW, {**ROW, "price_per_sqft": 1}]), Reason.EXTRA_KEY, "`price_per_sqft` (row 1)"),
        (text_of([ROW, {**ROW, "price": {"dollars": 1}}]), Reason.NESTED_VALUE, ""),
        (text_of([ROW, {**ROW, "brokered_by": [1]}]), Reason.NESTED_VALUE, ""),
        (text_of([ROW, {**ROW, "prev_sold_date": []}]), Reason.NESTED_VALUE, ""),
        (text_of([ROW], shape={"data": [1, 2]}), Reason.OTHER_SHAPE, "neither an object nor a list"),
        (text_of([ROW], shape={"data": [[1, 2]]}), Reason.MISSING_KEY, "length 12, got 2"),
        (text_of([ROW], shape={"data": [[1] * 13]}), Reason.EXTRA_KEY, "length 12"),
        (text_of([ROW], shape={"data": [ROW, None]}), Reason.OTHER_SHAPE, ""),
        (text_of([ROW], shape={"data": [ROW, list(ROW.values())]}), Reason.OTHER_SHAPE, ""),
        (text_of([ROW], shape={"total": 1}), Reason.EXTRA_KEY, "total"),
        (text_of([ROW], shape={"batch_number": -1}), Reason.OTHER_SHAPE, ""),
        (text_of([ROW], shape={"batch_number": "7"}), Reason.OTHER_SHAPE, ""),
        (text_of([ROW], shape={"batch_number": 1.5}), Reason.OTHER_SHAPE, ""),
        (text_of([ROW], shape={"batch_number": 100_000}), Reason.OTHER_SHAPE, ""),
        (text_of([ROW], shape={"group_number": 2}), Reason.OTHER_GROUP, "2 instead of 1"),
        (text_of([ROW])[:-1] + b', "data": []}', Reason.EXTRA_KEY, "twice"),
        (text_of([ROW])[:-1] + b', "batch_number": 8}', Reason.EXTRA_KEY, "twice"),
        (replaced("289900.0", "NaN"), Reason.NOT_FINITE, "NaN"),
        (replaced("289900.0", "-Infinity"), Reason.NOT_FINITE, "Infinity"),
        (replaced("289900.0", "1e999"), Reason.NOT_FINITE, "too large"),
        (replaced("289900.0", "9" * 400), Reason.NOT_FINITE, "too large"),
        (replaced('"batch_number": 7', '"batch_number": NaN'), Reason.NOT_FINITE, ""),
        (replaced("East", "\\u0000"), Reason.NOT_TEXT, "zero"),
        (replaced("East", "\\ud800"), Reason.NOT_TEXT, ""),
        (replaced("East", "\ud800"), Reason.NOT_TEXT, "UTF-8"),
        (replaced("289900.0", "289900.0.0"), Reason.NOT_JSON, ""),
        (replaced("289900.0", "0x10"), Reason.NOT_JSON, ""),
        (replaced("East", "\t"), Reason.NOT_JSON, ""),
        (replaced("East", "x" * (3 << 20)), Reason.ROW_TOO_LONG, "row 0"),
        (replaced("Monday", "x" * (1 << 17)), Reason.OTHER_SHAPE, ""),
    ],
)
def test_what_is_no_batch_has_a_reason(body: bytes, reason: Reason, detail: str) -> None:
    with pytest.raises(NotABatch) as refusal:
        taken(body)
    assert refusal.value.reason is reason
    assert detail in refusal.value.detail
    # What the rows hold stays out of logs.
    assert "289900" not in refusal.value.detail


@pytest.mark.parametrize(("number", "early"), [(0, 0), (99_999, 99_999), (-1, None), (100_000, None), (10**30, None)])
def test_a_number_is_known_before_the_rows_only_within_the_bounds_of_the_whole_answer(
    number: int, early: int | None
) -> None:
    assert BatchText(io.BytesIO(text_of([ROW], shape={"batch_number": number})), 1, 1e9).early_number == early


def test_a_word_like_nan_inside_a_text_is_a_text() -> None:
    _, found = taken(text_of([{**ROW, "city": "NaN", "state": "Infinity", "status": "null"}]))
    assert [found[0][name] for name in ("city", "state", "status")] == ["NaN", "Infinity", "null"]


def test_an_answer_with_too_many_rows_is_left_before_its_end() -> None:
    body = text_of([ROW] * 5_000)
    assert taken(body, most_rows=5_000)[0].rows == 5_000
    with pytest.raises(NotABatch) as refusal:
        taken(body, most_rows=1_000)
    assert refusal.value.reason is Reason.TOO_MANY_ROWS


def encoded(change: Callable[[dict[str, Any]], dict[str, Any]]) -> str:
    return taken(text_of([change(ROW)]))[0].content_sha


def test_the_content_is_what_the_rows_say_not_how_it_is_written() -> None:
    same = encoded(dict)
    assert encoded(lambda row: dict(reversed(row.items()))) == same
    assert encoded(lambda row: {**row, "zip_code": 6016, "price": 289900, "bed": 4}) == same
    assert taken(replaced("289900.0", "2.899e5"))[0].content_sha == taken(text_of([ROW, ROW]))[0].content_sha
    assert taken(replaced("East", "\\u0045ast"))[0].content_sha == taken(text_of([ROW, ROW]))[0].content_sha
    others = [
        encoded(lambda row: {**row, "price": 289901}),
        encoded(lambda row: {**row, "price": None}),
        encoded(lambda row: {**row, "price": "null"}),
        encoded(lambda row: {**row, "city": ""}),
        encoded(lambda row: {**row, "city": None}),
        encoded(lambda row: {**row, "city": "East Windsor "}),
        taken(text_of([ROW, ROW]))[0].content_sha,
    ]
    assert len({same, *others}) == 1 + len(others)


def test_the_order_of_rows_is_part_of_the_content() -> None:
    other = {**ROW, "price": 1.0}
    assert taken(text_of([ROW, other]))[0].content_sha != taken(text_of([other, ROW]))[0].content_sha


def test_memory_does_not_grow_with_the_answer() -> None:
    random_rows = [{**ROW, "street": random.random(), "city": "},{" * (number % 7)} for number in range(500)]  # noqa: S311

    def peak(rows: list[dict[str, Any]]) -> int:
        body = io.BytesIO(text_of(rows))
        tracemalloc.start()
        for _ in BatchText(body, 1, 1e9).lines():
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(random_rows * 8) < 1.5 * peak(random_rows)
