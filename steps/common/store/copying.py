"""COPY in PostgreSQL's text format, the quickest way of many rows in and out, shared by RAW and CLEAN."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from itertools import batched
from typing import Final, NamedTuple

from psycopg import sql
from sqlalchemy import Connection

from steps.common.store.connection import driver

NULL: Final = r"\N"
# As many rows as still fit the processor's cache, split into cells: 512 were three times as fast as 8,192.
_ROWS: Final = 512

# Those that PostgreSQL escapes itself, all of them: what is written is then, byte for byte, what is read back.
_ESCAPED: Final = str.maketrans(
    {"\\": r"\\", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v"}
)
_UNESCAPED: Final = {r"\\": "\\", r"\t": "\t", r"\n": "\n", r"\r": "\r", r"\b": "\b", r"\f": "\f", r"\v": "\v"}


class Lines(NamedTuple):
    """Rows as COPY text, each line ended, and how many: whoever makes them knows, and to count them takes time."""

    text: bytes
    rows: int


def written(value: str | float | dt.date | None) -> str:
    """Return a value as COPY reads it: floats to their last digit, None as null."""
    if value is None:
        return NULL
    if isinstance(value, str):
        return value if value.isprintable() and "\\" not in value else value.translate(_ESCAPED)
    return value.isoformat() if isinstance(value, dt.date) else repr(value)


def read(text: str) -> str | None:
    """Return the text a cell of COPY's output stands for, None where it is null."""
    if "\\" not in text:
        return text
    if text == NULL:
        return None
    pieces, at = [], 0
    while at < len(text):
        pair = text[at : at + 2]
        pieces.append(_UNESCAPED.get(pair, text[at]))
        at += 2 if pair in _UNESCAPED else 1
    return "".join(pieces)


def copy_in(connection: Connection, table: str, columns: Sequence[str], lines: Iterable[str]) -> None:
    """Write rows into a table by COPY; each line is a row, ended, its values `written`."""
    query = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with driver(connection).cursor().copy(query) as copy:
        for some in batched(lines, _ROWS, strict=False):
            copy.write("".join(some))


def copy_out(connection: Connection, query: sql.Composable) -> Iterator[bytes]:
    """Yield a query's rows as COPY sends them, some hundred lines a piece."""
    with driver(connection).cursor().copy(sql.SQL("COPY ({}) TO STDOUT").format(query)) as copy:
        for lines in batched(copy, _ROWS, strict=False):
            yield b"".join(lines)


def cells(block: bytes, width: int) -> list[list[str]]:
    """Return a piece of COPY's output column by column, each cell as it stands there: null is `NULL`, see `read`.

    Split in one go, without a list for each row. Values hold no tab and no line end: COPY escapes them.
    """
    flat = block.decode()[:-1].replace("\n", "\t").split("\t")
    return [flat[position::width] for position in range(width)]
