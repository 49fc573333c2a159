r"""Read a batch from the text of an answer, some hundred rows at a time, as lines that COPY takes.

The text is `{"group_number": 1, "day": …, "batch_number": 5, "data": [rows]}`, the keys in any order, a row an object
with the twelve keys or a list of the twelve values. It is cut between two rows without reading it as JSON, each piece
is then read as JSON whole unless its rows are usual, and what stands before and after the rows is read as one object.
Values stay as they were received: a number keeps its digits, a text is unescaped, null is `\N`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Annotated, BinaryIO, Final

import msgspec

from steps.common.store.content import ContentSha, NotFinite
from steps.common.store.copying import Lines
from steps.fetch.lines import Row, RowAsList, as_lines
from steps.fetch.reason import NotABatch, Reason
from steps.fetch.usual import USUAL_END, usual_lines

# What is read, cut and decoded at once: some hundred rows; more than the processor's cache holds was slower.
WINDOW: Final = 1 << 16
# What stands before and after the rows, each. Longer than this and it is not the head of a batch.
_ENVELOPE: Final = 1 << 16
_LONGEST_ROW: Final = 1 << 20
_BLANKS: Final = b" \t\r\n"

_STRING: Final = rb'"(?:[^"\\]++|\\.)*+"?'
_UP_TO_ROWS: Final = re.compile(rb'(?:[^"\[]++|' + _STRING + rb")*+\[", re.DOTALL)
_NOT_FINITE: Final = re.compile(_STRING + rb"|(NaN|Infinity)", re.DOTALL)
# Keys are decoded, values are not: only a key that is no UTF-8 is noticed here.
_MALFORMED: Final = (msgspec.DecodeError, UnicodeDecodeError)
_ESCAPED: Final = re.compile(rb"\\.", re.DOTALL)


class _Rows(msgspec.Struct, frozen=True):
    """How rows of one encoding are told apart: their brackets, what parts two of them, what ends the last."""

    opening: bytes
    decoder: msgspec.json.Decoder[list[Row]]
    usual: bytes
    between: re.Pattern[bytes]
    ending: re.Pattern[bytes]


def _rows(opening: bytes, closing: bytes, row: type[Row]) -> _Rows:
    blank, begin, end = rb"[ \t\r\n]*+", re.escape(opening), re.escape(closing)
    return _Rows(
        opening,
        msgspec.json.Decoder(list[row]),  # type: ignore[valid-type]  # a type chosen at run time
        closing + b",",
        re.compile(_STRING + rb"|(" + end + blank + rb"),(?=" + blank + begin + rb")", re.DOTALL),
        re.compile(_STRING + rb"|" + end + blank + rb"(\])", re.DOTALL),
    )


_ENCODINGS: Final = {rows.opening: rows for rows in (_rows(b"{", b"}", Row), _rows(b"[", b"]", RowAsList))}


# Eleven years of a batch an hour; all numbers below one are gone through to see which are missing.
_BatchNumber = Annotated[int, msgspec.Meta(ge=0, lt=100_000)]


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    """An answer without its rows."""

    group_number: int | str
    batch_number: _BatchNumber
    data: list[msgspec.Raw]
    day: str | int | float | bool | None = None


class _Head(msgspec.Struct):
    """What may be known before the rows."""

    batch_number: msgspec.Raw = msgspec.Raw()


class BatchText:
    """A batch in the text of an answer, read once, from front to back.

    `early_number` is the batch's number where it stands before the rows, else None. After `lines` has been read to
    its end, `number`, `rows` and `content_sha` say what the batch is. Raises NotABatch, at any point.
    """

    def __init__(self, body: BinaryIO, group: int, most_rows: float, window: int = WINDOW) -> None:
        self._body, self._group, self._most_rows, self._window = body, group, most_rows, window
        self._sha = ContentSha()
        self.rows = 0
        self.number = -1
        body.seek(0)
        start = body.read(_ENVELOPE)
        found = _UP_TO_ROWS.match(start)
        if not start.lstrip(_BLANKS).startswith(b"{"):
            raise NotABatch(Reason.NOT_JSON, f"begins with {start.lstrip(_BLANKS)[:1]!r}")
        if found is None:
            if len(start) < _ENVELOPE:
                # An object, but no rows in it: what is wrong with it as a whole is the reason.
                _read_envelope(start)
            raise NotABatch(Reason.OTHER_SHAPE, "no list of rows")
        self._head = found[0]
        self._held = start[found.end() :]
        self.early_number = early_number(self._head)

    @property
    def content_sha(self) -> str:
        """Return the sha of the content read so far."""
        return self._sha.hexdigest()

    def lines(self) -> Iterator[Lines]:
        """Yield the rows as lines of COPY text, some hundred at a time."""
        for lines in self._blocks(self._encoding()):
            self.rows += lines.rows
            if self.rows > self._most_rows:
                raise NotABatch(Reason.TOO_MANY_ROWS, f"more than {self._most_rows:,.0f} (APPRAISER_ANSWER_GROWTH)")
            yield lines
        self._read_end()

    def _encoding(self) -> _Rows:
        while not (begun := self._held.lstrip(_BLANKS)):
            if not (self._more()):
                raise NotABatch(Reason.TRUNCATED, "before the first row")
        if begun.startswith(b"]"):
            raise NotABatch(Reason.EMPTY)
        if (encoding := _ENCODINGS.get(begun[:1])) is None:
            raise NotABatch(Reason.OTHER_SHAPE, "a row is neither an object nor a list")
        return encoding

    def _more(self) -> bool:
        more = self._body.read(self._window)
        self._held += more
        return bool(more)

    def _blocks(self, encoding: _Rows) -> Iterator[Lines]:
        while self._more():
            # Maybe inside a text; but then what stands before is not usual, and the cut is made again with care.
            end = self._held.rfind(USUAL_END) + 1
            if (lines := usual_lines(self._held[:end])) is not None:
                self._sha.update_plain(lines.text)
            elif end := last_row_end(self._held, encoding.usual, encoding.between) or 0:
                lines = self._any_lines(self._held[:end], encoding)
            elif len(self._held) > _LONGEST_ROW + self._window:
                raise NotABatch(Reason.ROW_TOO_LONG, f"row {self.rows:,}")
            if lines is not None:
                self._held = self._held[end + 1 :]
                yield lines
        end = next((found.start(1) for found in encoding.ending.finditer(self._held) if found[1]), -1)
        if end < 0:
            raise self._unended(encoding)
        lines = self._any_lines(self._held[:end], encoding)
        self._held = self._held[end:]
        yield lines

    def _any_lines(self, piece: bytes, encoding: _Rows) -> Lines:
        lines = as_lines(self._decoded(piece, encoding))
        try:
            self._sha.update(lines.text)
        except NotFinite as fault:
            raise NotABatch(Reason.NOT_FINITE, str(fault)) from None
        return lines

    def _unended(self, encoding: _Rows) -> NotABatch:
        """Return why no end of the rows is found: the text stops, or its last row is of another kind."""
        try:
            encoding.decoder.decode(b"[%b]" % self._held[: self._held.rfind(b"]")])
        except msgspec.ValidationError as fault:
            return _other_schema(str(fault), self.rows)
        except _MALFORMED:
            return NotABatch(Reason.TRUNCATED, f"after row {self.rows:,}")
        return NotABatch(Reason.TRUNCATED, f"after row {self.rows:,}")

    def _decoded(self, piece: bytes, encoding: _Rows) -> list[Row]:
        try:
            return encoding.decoder.decode(b"[%b]" % piece)
        except msgspec.ValidationError as fault:
            raise _other_schema(str(fault), self.rows) from None
        except _MALFORMED as fault:
            raise _malformed(piece, fault, f", after row {self.rows:,}") from None

    def _read_end(self) -> None:
        envelope = _read_envelope(self._head + self._held)
        if str(envelope.group_number) != str(self._group):
            raise NotABatch(Reason.OTHER_GROUP, f"{envelope.group_number} instead of {self._group}")
        self.number = envelope.batch_number


def last_row_end(text: bytes, usual: bytes, between: re.Pattern[bytes]) -> int | None:
    """Return the position of the last comma between two rows, None where there is none; `text` begins with a row.

    `usual` is what a row ends with where nothing is odd. The last one is it, unless it stands inside a text, which
    an odd number of quotes before it tells; then all texts and rows are walked through, which is slower.
    """
    at = text.rfind(usual)
    if at >= 0:
        after = text[at + len(usual) : at + len(usual) + 32].lstrip(_BLANKS)
        if after.startswith(b"{" if usual.startswith(b"}") else b"[") and not _in_string(text, at):
            return at + 1
    ends = [found.end(1) for found in between.finditer(text) if found[1]]
    return ends[-1] if ends else None


def _in_string(text: bytes, at: int) -> bool:
    if text.find(b"\\", 0, at) < 0:
        return text.count(b'"', 0, at) % 2 == 1
    return _ESCAPED.sub(b"", text[:at]).count(b'"') % 2 == 1


def early_number(start: bytes) -> int | None:
    """Return the batch number before the rows, from the first bytes of any answer; None where it names none there.

    Whatever else is wrong there is found when all is read.
    """
    found = _UP_TO_ROWS.match(start)
    try:
        text = msgspec.json.decode((found[0] if found else b"") + b"]}", type=_Head).batch_number
        return msgspec.json.decode(text, type=_BatchNumber) if bytes(text) else None
    except _MALFORMED:
        return None


def _read_envelope(text: bytes) -> _Envelope:
    try:
        envelope = msgspec.json.decode(text, type=_Envelope)
    except msgspec.ValidationError as fault:
        raise _other_schema(str(fault), None) from None
    except _MALFORMED as fault:
        raise _malformed(text, fault, "") from None
    # msgspec takes the last of two equal keys, and the rows that were read may have been the first's.
    names = [name for name, _ in json.loads(text, object_pairs_hook=list)]
    if len(set(names)) < len(names):
        raise NotABatch(Reason.EXTRA_KEY, "a key of the answer is there twice")
    return envelope


def _other_schema(fault: str, rows: int | None) -> NotABatch:
    """Name what msgspec found wrong with keys and types; it counts rows from the start of a piece."""
    where = re.search(r" - at `\$\[(\d+)\]", fault)
    detail = fault.split(" - at ", maxsplit=1)[0].replace("Object", "it")
    if where and rows is not None:
        detail += f" (row {rows + int(where[1]):,})"
    if "missing required field" in fault or "at least length" in fault:
        return NotABatch(Reason.MISSING_KEY, detail)
    if "unknown field" in fault or "at most length" in fault:
        return NotABatch(Reason.EXTRA_KEY, detail)
    return NotABatch(Reason.OTHER_SHAPE, detail)


def _malformed(text: bytes, fault: Exception, where: str) -> NotABatch:
    if isinstance(fault, UnicodeDecodeError):
        return NotABatch(Reason.NOT_TEXT, f"bytes that are not UTF-8{where}")
    if any(found[1] for found in _NOT_FINITE.finditer(text)):
        return NotABatch(Reason.NOT_FINITE, f"NaN or Infinity, which JSON does not have{where}")
    if "hex escape" in str(fault):
        return NotABatch(Reason.NOT_TEXT, f"half a character in an escape{where}")
    return NotABatch(Reason.TRUNCATED if "truncated" in str(fault) else Reason.NOT_JSON, f"{fault}{where}")
