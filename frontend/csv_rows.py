"""A batch as a file: what a CSV holds row by row, the template for one, and the results as one to take away."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from frontend.form import Field, names

MOST_BYTES: Final = 20_000_000
MOST_ROWS: Final = 10_000
# Beginnings that a spreadsheet takes for a formula.
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")
_SAMPLE: Final = 4096


class FileRefused(Exception):
    """The file is no batch; `key` names the sentence, `values` what stands in it."""

    def __init__(self, key: str, **values: object) -> None:
        super().__init__(key)
        self.key = key
        self.values = values


@dataclass(frozen=True)
class Row:
    """A row of the file by its line, its cells under the names of the form, and whether it has the right number."""

    line: int
    cells: Mapping[str, str]
    whole: bool = True

    def listing(self, fields: Iterable[Field]) -> dict[str, str | float]:
        """Return what the API is sent: the cells that hold something, numbers as such where they are any."""
        numbers = {field.name for field in fields if field.kind == "number"}
        return {name: _number(cell) if name in numbers else cell for name, cell in self.cells.items() if cell}


@dataclass(frozen=True)
class Batch:
    """A file's rows, and its columns that mean nothing to the model."""

    rows: tuple[Row, ...]
    ignored: tuple[str, ...]


def parse(content: bytes, fields: Sequence[Field]) -> Batch:
    """Return the rows of a CSV, its columns matched by name; raise FileRefused where it is none.

    Whether a cell is what its column wants, and what is wrong with it, the API says.
    """
    if len(content) > MOST_BYTES:
        raise FileRefused("batch.too_many_bytes", most=MOST_BYTES // 1_000_000)
    lines = _lines(_text(content))
    head = [_name(cell) for cell in next(lines, (1, []))[1]]
    known = {field.name for field in fields}
    missing = [name for name in names(fields, required=True) if name not in head]
    if missing:
        raise FileRefused("batch.columns_missing", columns=", ".join(missing))
    twice = sorted({name for name in head if name in known and head.count(name) > 1})
    if twice:
        raise FileRefused("batch.columns_twice", columns=", ".join(twice))
    rows = tuple(islice(_rows(lines, head, known), MOST_ROWS + 1))
    if not rows:
        raise FileRefused("batch.no_rows")
    if len(rows) > MOST_ROWS:
        raise FileRefused("batch.too_many_rows", most=MOST_ROWS)
    return Batch(rows, tuple(name for name in head if name and name not in known))


def _number(cell: str) -> str | float:
    """Return a cell's number, or its text: JSON has no NaN, and what is none the API refuses with a reason."""
    try:
        value = float(cell)
    except ValueError:
        return cell
    # Python alone reads 1_800 as a number.
    return value if math.isfinite(value) and "_" not in cell else cell


def _text(content: bytes) -> str:
    if b"\0" in content:
        raise FileRefused("batch.not_text")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # What a spreadsheet on Windows writes; it knows no wrong bytes worth refusing.
        return content.decode("cp1252", errors="replace")


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield rows with the line of the file each begins on: a quoted cell may go over several."""
    first = text[:_SAMPLE].split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    try:
        reader, begins = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), 1
        for cells in reader:
            yield begins, cells
            begins = reader.line_num + 1
    except csv.Error:
        raise FileRefused("batch.not_csv") from None


def _rows(lines: Iterator[tuple[int, list[str]]], head: Sequence[str], known: set[str]) -> Iterator[Row]:
    for line, cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        named = {name: cell.strip() for name, cell in zip(head, cells, strict=False) if name in known}
        yield Row(line, named, len(cells) == len(head))


def _name(cell: str) -> str:
    return cell.strip().lower().replace(" ", "_")


def template(fields: Iterable[Field]) -> bytes:
    """Return a file to start from: every column, and one row of examples."""
    listed = list(fields)
    return written([field.name for field in listed], [[field.example for field in listed]])


def written(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """Return rows as a CSV in which no cell is a formula, with the mark by which spreadsheets know UTF-8."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([harmless(cell) for cell in head])
    writer.writerows([harmless(cell) for cell in row] for row in rows)
    return out.getvalue().encode("utf-8-sig")


def harmless(cell: object) -> str:
    """Return a cell's text, behind an apostrophe where a spreadsheet would take it for a formula."""
    text = "" if cell is None else str(cell)
    return f"'{text}" if text.startswith(_FORMULAS) else text
