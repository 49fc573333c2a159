"""The short way through usual rows makes what the long one makes, of any rows, and refuses nothing by itself."""

import io

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.common.listing import SOURCE_FIELDS, SOURCE_NUMBERS
from steps.common.store.content import canonical
from steps.fetch import answer
from steps.fetch.answer import BatchText
from steps.fetch.lines import Row, as_lines
from steps.fetch.reason import NotABatch
from steps.fetch.usual import usual_lines

# Values as they stand in an answer.
NUMBERS = [b"289900.0", b"4.0", b"2", b"0.38", b"0", b"0.0", b"1758218", b"999999999999999", b"3.0001"]
TEXTS = [
    b'"Ohio"', b'""', b'"East  Windsor, {North}"', b'"null"', b'"12.0.1"', b'"100 %d"', '"Ñuñoa"'.encode(), b'"}, {"',
    b'"[a: b]"', b'"price"',
]  # fmt: skip
ODD = [
    b"-0.0", b"-7.0", b"1e5", b"1E+2", b"0.10", b"0.00001", b"1000000000000000", b"123456789.123456789", b"1e999",
    b"01", b"1.", b".5", b"+1", b"NaN", b"-Infinity", b"null", b"true", b"{}", b"[1]", b'{"bed": 1}', b'"4.0"', b"x",
    b'"a\\tb"', b'"a\tb"', b'"\\""', b'"\\\\"', b'"\\u0041"', b'"\\u0000"', b'"\\ud800"', b'"\xff"', b'"\x00"',
    b'"1.0"', b'", "bed": 1.0, "bath": "', b'"', b"5.00001",
]  # fmt: skip
BLANKS = [b" ", b"", b"  ", b"\n", b"\t"]

usual_rows = st.tuples(*(st.sampled_from(NUMBERS if name in SOURCE_NUMBERS else TEXTS) for name in SOURCE_FIELDS))


def written(values: tuple[bytes, ...], names: tuple[str, ...] = SOURCE_FIELDS) -> bytes:
    pairs = zip(names, values, strict=True)
    return b"{" + b", ".join(b'"%b": %b' % (name.encode(), value) for name, value in pairs) + b"}"


@st.composite
def odd_rows(draw: st.DrawFn) -> bytes:
    """Return a row with one thing about it, or several, that is not usual, and may be no JSON at all."""
    values, names = list(draw(usual_rows)), list(SOURCE_FIELDS)
    at, other = draw(st.integers(0, 11)), draw(st.integers(0, 11))
    kind = draw(st.sampled_from(["value", "order", "missing", "doubled", "name", "blank", "bytes"]))
    if kind == "value":
        values[at] = draw(st.sampled_from(ODD))
    elif kind == "order":
        names[at], names[other] = names[other], names[at]
    elif kind == "missing":
        del names[at], values[at]
    elif kind == "doubled":
        names.insert(other, names[at])
        values.insert(other, draw(st.sampled_from(NUMBERS + TEXTS + ODD)))
    elif kind == "name":
        names[at] = draw(st.sampled_from(["price_per_sqft", "Price", "", "price "]))
    row = written(tuple(values), tuple(names))
    if kind == "blank":
        return row.replace(*draw(st.sampled_from([(b": ", b":"), (b", ", b","), (b"{", b"{ "), (b"}", b"\n}")])))
    if kind == "bytes":
        start, end = sorted(draw(st.tuples(*[st.integers(0, len(row))] * 2)))
        return (
            row[:start] + draw(st.sampled_from([b"", b'"', b"\\", b",", b"{", b"}", b"]", b"\xff", b"1"])) + row[end:]
        )
    return row


@st.composite
def texts_of_rows(draw: st.DrawFn) -> bytes:
    rows = draw(st.lists(usual_rows.map(written) | odd_rows(), min_size=1, max_size=6))
    comma = draw(st.just(b", ") | st.tuples(*[st.sampled_from(BLANKS)] * 2).map(b",".join))
    return comma.join(rows)


@given(st.lists(usual_rows, min_size=1, max_size=5), st.sampled_from([b"", b" "]))
@settings(max_examples=50)
def test_usual_rows_take_the_short_way(rows: list[tuple[bytes, ...]], before: bytes) -> None:
    lines = b"".join(b"\t".join(value.strip(b'"') for value in row) + b"\n" for row in rows)
    assert usual_lines(before + b", ".join(map(written, rows))) == (lines, len(rows))


@given(texts_of_rows())
@settings(max_examples=500)
def test_what_takes_the_short_way_comes_out_as_from_the_long_one(text: bytes) -> None:
    if (lines := usual_lines(text)) is not None:
        assert lines == as_lines(msgspec.json.decode(b"[%b]" % text, type=list[Row]))
        assert canonical(lines.text) == lines.text.replace(b".0\t", b"\t")


@given(texts_of_rows(), st.integers(1, 1_000), st.sampled_from([b"]}", b" ]}", b"}", b""]))
@settings(max_examples=500)
def test_an_answer_is_taken_or_refused_alike_both_ways(text: bytes, window: int, end: bytes) -> None:
    body = b'{"group_number": 1, "batch_number": 7, "data": [' + text + end
    short = outcome(body, window)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answer, "usual_lines", lambda _: None)
        assert short == outcome(body, window)


def outcome(body: bytes, window: int) -> tuple[object, ...]:
    """Return what an answer was read as, with every way to see it, or why it was not."""
    batch = BatchText(io.BytesIO(body), 1, 1e9, window)
    try:
        lines = b"".join(block.text for block in batch.lines())
    except NotABatch as refusal:
        return refusal.reason, refusal.detail
    return lines, batch.content_sha, batch.rows, batch.number
