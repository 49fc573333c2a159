r"""Rows of a source's answer as lines of COPY text: twelve values, tabs between, as they were received."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw

from steps.common.listing import SOURCE_FIELDS
from steps.common.store.copying import NULL, Lines, written
from steps.fetch.reason import NotABatch, Reason


class Row(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A row as it stands in the text, each value as its piece of JSON; the order is that of the columns in RAW."""

    brokered_by: Raw
    status: Raw
    price: Raw
    bed: Raw
    bath: Raw
    acre_lot: Raw
    street: Raw
    city: Raw
    state: Raw
    zip_code: Raw
    house_size: Raw
    prev_sold_date: Raw


class RowAsList(Row, array_like=True, forbid_unknown_fields=True, gc=False):
    """The same as a list of its values."""


assert Row.__struct_fields__ == SOURCE_FIELDS  # noqa: S101  # whoever changes the one has to change the other

_NULLS: Final = re.compile(rb"null(?<=[\t\n]null)(?=[\t\n])")
# JSON texts hold no raw tab and no raw line end, so these are where a value begins.
_NESTED: Final = (b"\t{", b"\t[", b"\n{", b"\n[")
_string: Final = msgspec.json.Decoder(str)


def as_lines(rows: Sequence[Row]) -> Lines:
    """Return rows as lines of COPY text; raises NotABatch for a value that is no number, text or null.

    Where no text holds an escape, all rows are turned at once: quotes stand around texts and nowhere else.
    """
    values = msgspec.structs.astuple
    # The empty line before the first row: every value then has a separator before it.
    text = b"\n%b\n" % b"\n".join([b"\t".join(values(row)) for row in rows])
    # Looking for one byte is thirty times as fast as looking for two.
    if (b"{" in text or b"[" in text) and any(opening in text for opening in _NESTED):
        raise NotABatch(Reason.NESTED_VALUE)
    try:
        if b"\\" in text:
            escaped = "".join(["\t".join(map(_value, values(row))) + "\n" for row in rows])
            return Lines(escaped.encode(), len(rows))
        text.decode()
    except UnicodeDecodeError:
        raise NotABatch(Reason.NOT_TEXT, "bytes that are not UTF-8") from None
    if b"null" in text:
        text = _NULLS.sub(rb"\\N", text)
    return Lines(text[1:].replace(b'"', b""), len(rows))


def _value(raw: Raw) -> str:
    text = bytes(raw)
    if text.startswith(b'"'):
        string = _string.decode(text)
        if "\0" in string:
            raise NotABatch(Reason.NOT_TEXT, "a zero character")
        return written(string)
    return NULL if text == b"null" else text.decode()
