"""Answers as text: the rows that went in come out, however they were cut into chunks, in little memory."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.source_answers import Chunk, Encode, answer, as_lists, as_objects, as_objects_with_nan

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
ROWS = st.lists(st.tuples(FLOATS, st.one_of(st.none(), FLOATS), st.text()), max_size=20)
NAMES = ("price", "bed", "city")


def cut(rows: list[tuple[Any, ...]], size: int) -> list[Chunk]:
    parts = [rows[start : start + size] for start in range(0, len(rows), size)]
    return [dict(zip(NAMES, map(list, zip(*part, strict=True)), strict=True)) for part in parts]


def text(chunks: list[Chunk], encode: Encode = as_objects) -> bytes:
    return b"".join(answer(3, "Tuesday", 4, chunks, encode))


@given(ROWS, st.integers(1, 20))
def test_rows_come_out_as_they_went_in(rows: list[tuple[Any, ...]], size: int) -> None:
    head = {"group_number": 3, "day": "Tuesday", "batch_number": 4}
    objects = [dict(zip(NAMES, row, strict=True)) for row in rows]
    assert json.loads(text(cut(rows, size))) == {**head, "data": objects}
    assert json.loads(text(cut(rows, size), as_lists)) == {**head, "data": [list(row) for row in rows]}


@given(ROWS, st.integers(1, 20), st.sampled_from([as_objects, as_lists, as_objects_with_nan]))
def test_chunks_leave_no_trace(rows: list[tuple[Any, ...]], size: int, encode: Encode) -> None:
    assert text(cut(rows, size), encode) == text(cut(rows, 20), encode)


@pytest.mark.parametrize("encode", [as_objects, as_lists, as_objects_with_nan])
def test_a_float_stays_a_float_and_text_is_sent_as_it_is(encode: Encode) -> None:
    sent = text([{"zip_code": [1001.0], "city": ["Cañon “City”"]}], encode)
    assert b"1001.0" in sent
    assert "Cañon “City”".encode() in sent


def test_nan_is_null_unless_the_server_is_careless() -> None:
    chunk = {"price": [float("nan"), float("inf")]}
    assert text([chunk]).endswith(b'"data":[{"price":null},{"price":null}]}')
    assert text([chunk], as_objects_with_nan).endswith(b'"data":[{"price":NaN},{"price":Infinity}]}')


def test_an_answer_of_forty_megabytes_takes_less_than_eight() -> None:
    chunk = {name: [12345.5] * 4096 for name in "abcdefghijkl"}
    tracemalloc.start()
    try:
        sent = sum(map(len, answer(1, None, 0, (chunk for _ in range(80)), as_objects)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sent > 40e6
    assert peak < 8e6
