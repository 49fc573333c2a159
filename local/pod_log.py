"""The log of a container: its output in lines, each stored with the time it came, read back whole, in part or live."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

_STAMP = "%Y-%m-%dT%H:%M:%S.%f000Z"
# Width of a stamp and the space behind it; the same for every line, so that stamps compare as text.
_PREFIX = len("2026-01-01T00:00:00.000000000Z ")
_LONGEST_LINE = 1 << 20
_READ_BYTES = 1 << 16
# As many as a kubelet takes for the message of a container that failed without leaving one.
_MESSAGE_LINES, _MESSAGE_BYTES = 80, 2048


@dataclass(frozen=True)
class LogQuery:
    """Which lines are wanted: the last `tail`, those from `since` on, at most `limit` bytes; and whether to go on."""

    follow: bool = False
    timestamps: bool = False
    tail: int | None = None
    since: datetime | None = None
    limit: int | None = None


class Log:
    """One log file, with the line that is not complete yet; `live` as long as more may come."""

    def __init__(self, path: Path, *, live: bool = False) -> None:
        self._path = path
        self.live = live
        self._rest = b""
        self._changed = asyncio.Event()
        self._file: BinaryIO | None = path.open("ab", buffering=0) if live else None

    @property
    def exists(self) -> bool:
        """Whether the container ever started."""
        return self._path.is_file()

    def append(self, data: bytes) -> None:
        """Store what the container has written; a line counts from its end on, or when it is a MiB long."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            lines, self._rest = [*lines, self._rest], b""
        self._write(lines)

    def close(self) -> None:
        """Store an incomplete last line as one, and end the live reads."""
        if self._rest:
            self._write([self._rest])
        if self._file:
            self._file.close()
        self._file, self._rest, self.live = None, b"", False
        self._wake()

    def last_lines(self) -> str:
        """Return the end of the log, for the message of a container that failed."""
        with self._path.open("rb") as file:
            file.seek(max(0, self._path.stat().st_size - (1 << 14)))
            lines = deque((line[_PREFIX:] for line in file), maxlen=_MESSAGE_LINES)
        return b"".join(lines)[-_MESSAGE_BYTES:].decode(errors="replace")

    async def read(self, query: LogQuery) -> AsyncIterator[bytes]:
        """Yield the lines a query asks for, and with `follow` those that come until the container ends."""
        left = query.limit
        since = query.since.astimezone(UTC).strftime(_STAMP).encode() if query.since else b""
        with self._path.open("rb") as file:
            if query.tail is not None:
                _seek_tail(file, query.tail)
            while True:
                lines = file.readlines(_READ_BYTES)
                text = _render(lines, since, stamped=query.timestamps)[:left]
                left = None if left is None else left - len(text)
                if text:
                    yield text
                if left == 0 or (not lines and not (query.follow and self.live)):
                    return
                if not lines:
                    await self._changed.wait()

    def _write(self, lines: Iterable[bytes]) -> None:
        if not self._file or not lines:
            return
        stamp = datetime.now(UTC).strftime(_STAMP).encode() + b" "
        # One write, so that a reader never sees half a line.
        self._file.write(b"".join(stamp + line + b"\n" for line in lines))
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _render(lines: list[bytes], since: bytes, *, stamped: bool) -> bytes:
    return b"".join(line if stamped else line[_PREFIX:] for line in lines if line >= since)


def _seek_tail(file: BinaryIO, count: int) -> None:
    """Move to where the last `count` lines begin, reading from the end."""
    position = file.seek(0, os.SEEK_END)
    missing = count + 1  # The line break before the first wanted line is looked for.
    while position > 0 and missing > 0:
        size = min(_READ_BYTES, position)
        position -= size
        file.seek(position)
        block = file.read(size)
        breaks = block.count(b"\n")
        if breaks >= missing:
            offset = len(block)
            for _ in range(missing):
                offset = block.rindex(b"\n", 0, offset)
            file.seek(position + offset + 1)
            return
        missing -= breaks
    file.seek(0)
