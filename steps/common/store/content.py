r"""The sha of a batch's content: what the rows say, whatever the encoding they came in.

Canonical form: the rows in their order, a line each, as PostgreSQL's COPY writes the twelve values (tabs between, `\N`
for null, backslash escapes), with the numbers of the numeric columns in their shortest form. Fetch computes it while
it reads an answer; anyone computes it again from the rows in RAW.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from steps.common.listing import SOURCE_FIELDS, SOURCE_NUMBERS, shortest

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
# Numbers whose shortest form is what they are, or what they are without `.0`: exact as floats, written as floats are.
# The usual ones come first: the order of the alternatives is a third of the time.
PLAIN_NUMBER: Final = (
    rb"(?:[1-9][0-9]{0,6}+\.0|(?:0|[1-9][0-9]{0,6}+)\.(?!0000)[0-9]{0,7}[1-9]|0(?:\.0)?|[1-9][0-9]{0,14}+(?:\.0)?)"
)
# At the end of a text: the replacement below would take a `.0` there for a number's.
NO_NUMBER_BEFORE: Final = rb"(?<!\.0)"
_NUMBER_OR_NULL: Final = rb"(?:" + PLAIN_NUMBER + rb"|\\N)"
_PLAIN_TEXT: Final = rb"[^\t\n]*+" + NO_NUMBER_BEFORE
# Prices, sizes and numbers of streets are plain in all but odd rows; a million of them one by one took three times
# as long as all the rest of reading a batch.
_PLAIN_LINE: Final = rb"\t".join(_NUMBER_OR_NULL if name in SOURCE_NUMBERS else _PLAIN_TEXT for name in SOURCE_FIELDS)
_plain_lines: Final = re.compile(rb"(?:" + _PLAIN_LINE + rb"\n)*+").fullmatch
_IS_NUMBER: Final = tuple(name in SOURCE_NUMBERS for name in SOURCE_FIELDS)


class NotFinite(ValueError):
    """A number is too large for a float: what any reader of it makes of it is infinity."""


def canonical(lines: bytes) -> bytes:
    """Return whole lines of COPY text, each ended, in canonical form; raises NotFinite."""
    if _plain_lines(lines):
        return _without_zeros(lines)
    return b"".join(_canonical_line(line + b"\n") for line in lines.split(b"\n")[:-1])


def _without_zeros(lines: bytes) -> bytes:
    return lines.replace(b".0\t", b"\t")


def _canonical_line(line: bytes) -> bytes:
    if _plain_lines(line):
        return _without_zeros(line)
    values = line[:-1].decode().split("\t")
    return ("\t".join(map(_canonical_value, values, _IS_NUMBER)) + "\n").encode()


def _canonical_value(text: str, is_number: bool) -> str:
    if not is_number or _NUMBER.fullmatch(text) is None:
        return text
    short = shortest(text)
    if short.endswith("inf"):
        raise NotFinite("a number too large for a float")
    return short


class ContentSha:
    """The sha256 over the canonical form of a batch's rows, fed some lines at a time."""

    def __init__(self) -> None:
        self._state = hashlib.sha256()

    def update(self, lines: bytes) -> None:
        """Add whole lines of COPY text, each ended; raises NotFinite."""
        self._state.update(canonical(lines))

    def update_plain(self, lines: bytes) -> None:
        """Add whole lines whose numbers are known to be plain, and whose texts end like none."""
        self._state.update(_without_zeros(lines))

    def hexdigest(self) -> str:
        """Return the sha of all lines so far."""
        return self._state.hexdigest()
