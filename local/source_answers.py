"""An answer of the data source as bytes: chunks of listings in, JSON text out, never whole in memory."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

# Some thousand listings, a list of values a column. A value is a float, a text, or None where it is missing.
Chunk = Mapping[str, Sequence[Any]]
Encode = Callable[[Chunk], bytearray]

_encoder = msgspec.json.Encoder()


def as_objects(chunk: Chunk) -> bytearray:
    """Return the listings as a JSON array of objects; `1001.0` stays `1001.0`, a missing value or a NaN is `null`."""
    row = _row_type(tuple(chunk))
    return _encoded(list(map(row, *chunk.values())))


def as_lists(chunk: Chunk) -> bytearray:
    """Return the listings as a JSON array of arrays, the values in the order of the columns."""
    return _encoded(list(zip(*chunk.values(), strict=True)))


def as_objects_with_nan(chunk: Chunk) -> bytearray:
    """Return the listings as objects the way a careless server does: `NaN` and `Infinity`, which JSON does not have."""
    rows = [dict(zip(chunk, values, strict=True)) for values in zip(*chunk.values(), strict=True)]
    return bytearray(json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode())


def answer(group: int, day: str | None, number: int, chunks: Iterable[Chunk], encode: Encode) -> Iterator[memoryview]:
    """Yield the answer's text piece by piece: its head, a piece a chunk, its end."""
    head = _encoder.encode({"group_number": group, "day": day, "batch_number": number})
    yield memoryview(head[:-1] + b',"data":[')
    first = True
    for chunk in chunks:
        # One array after the other: the bracket that opens each becomes the comma between them, without a copy.
        piece = encode(chunk)
        piece[0:1] = b"" if first else b","
        del piece[-1:]
        first = False
        yield memoryview(piece)
    yield memoryview(b"]}")


def _encoded(rows: list[Any]) -> bytearray:
    text = bytearray()
    _encoder.encode_into(rows, text)
    return text


@functools.lru_cache(maxsize=16)
def _row_type(names: tuple[str, ...]) -> type[msgspec.Struct]:
    """Return a record with these keys: msgspec writes it several times faster than it writes a dict."""
    return msgspec.defstruct("Row", names)
