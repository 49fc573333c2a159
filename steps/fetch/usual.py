"""Rows as a source usually writes them, read by one regular expression in seven tenths of the time that JSON takes.

Usual are objects with the twelve keys in their order, a blank after each colon and comma, plain numbers, and neither
null nor an escape. Anything else is left to `steps.fetch.lines`, which says what a row is: of usual rows both make
the same lines, byte for byte.
"""

from __future__ import annotations

import re
from typing import Final

from steps.common.listing import SOURCE_FIELDS, SOURCE_NUMBERS
from steps.common.store.content import NO_NUMBER_BEFORE, PLAIN_NUMBER
from steps.common.store.copying import Lines

# Where a row ends and another begins, unless it stands inside a text.
USUAL_END: Final = b"}, {"
_BETWEEN: Final = b", "
_NUMBER: Final = b"(" + PLAIN_NUMBER + b")"
_TEXT: Final = rb'"([^"\\\x00-\x1f]*+' + NO_NUMBER_BEFORE + rb')"'
_VALUES: Final = [f'"{name}": '.encode() + (_NUMBER if name in SOURCE_NUMBERS else _TEXT) for name in SOURCE_FIELDS]
_rows: Final = re.compile(rb"\{" + b", ".join(_VALUES) + rb"\}(?:" + _BETWEEN + rb"(?=\{)|\Z)").findall
# What a row and a comma have around their values, less the tabs and the line end that a line has.
_AROUND: Final = sum(len(f'"{name}": ' if name in SOURCE_NUMBERS else f'"{name}": ""') for name in SOURCE_FIELDS)
_LONGER: Final = len(b"{}") + _AROUND + len(SOURCE_FIELDS) * (len(_BETWEEN) - 1)


def usual_lines(text: bytes) -> Lines | None:
    """Return the text of some rows as lines of COPY text; None where anything in it is unusual."""
    usual = text.lstrip(b" ")
    rows = _rows(usual)
    lines = b"\n".join(map(b"\t".join, rows)) + b"\n"
    # Whatever was passed over, between rows or before them, is missing here.
    if not rows or len(lines) + len(rows) * _LONGER - len(_BETWEEN) != len(usual):
        return None
    try:
        lines.decode()
    except UnicodeDecodeError:
        return None
    return Lines(lines, len(rows))
