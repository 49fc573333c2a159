"""A local log that nothing is lost from: an append returns when the bytes are on the disk, many in one sync.

Segments are files of lines, each with its checksum before it. A line whose append never returned may be cut off by a
kill; it fails its checksum and is left out. Segments that are full or asked for are closed, shipped by whoever wants
them (`closed`), and removed after that (`remove`). One process owns the folder.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import queue
import threading
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from steps.common.logs import log

_SUFFIX: Final = ".log"
_SEGMENT_BYTES: Final = 8 << 20
_CHECKSUM: Final = 9  # eight hex digits and a blank


class SpoolFull(Exception):
    """The disk, or the spool's own limit, has no room for these bytes; none of them is kept."""


class SpoolInUse(Exception):
    """Another process appends to this folder."""


@dataclass(frozen=True)
class _Append:
    line: bytes
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[None]


@dataclass(frozen=True)
class Segment:
    """A closed file of the spool: its payloads in order, and how many lines were unreadable or cut off."""

    path: Path
    payloads: tuple[bytes, ...]
    unreadable: int


class Spool:
    """The segments below a folder; `append` from an event loop, everything else from any thread."""

    def __init__(self, folder: Path, most_bytes: int, segment_bytes: int = _SEGMENT_BYTES) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.most_bytes = most_bytes
        self._segment_bytes = segment_bytes
        self._lock = _own(folder)
        self._queue: queue.SimpleQueue[_Append | None] = queue.SimpleQueue()
        self._turn = threading.Lock()
        self._file: int | None = None
        self._path = folder
        self._written = 0
        self._closed = {path: path.stat().st_size for path in sorted(folder.glob(f"*{_SUFFIX}"))}
        # Also of those set aside: a later segment of the same number would take one's place.
        self._number = max((int(path.stem) for path in folder.glob("[0-9]*.*")), default=0)
        self._writer = threading.Thread(target=self._write, name="spool", daemon=True)
        self._writer.start()

    @property
    def held_bytes(self) -> int:
        """Return how many bytes wait for being shipped."""
        return self._written + sum(list(self._closed.values()))

    @property
    def oldest_seconds(self) -> float:
        """Return how long ago the oldest segment that waits was last written to; 0 where none waits."""
        try:
            return max((time.time() - path.stat().st_mtime for path in list(self._closed)[:1]), default=0.0)
        except OSError:
            return 0.0

    async def append(self, payload: bytes) -> None:
        """Return when a payload without line ends is on the disk; raise SpoolFull when it could not be put there."""
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        self._queue.put(_Append(b"%08x %b\n" % (zlib.crc32(payload), payload), loop, done))
        await done

    def rotate(self) -> None:
        """Close the segment that is written to, unless it is empty."""
        with self._turn:
            self._close_segment()

    def closed(self) -> list[Path]:
        """Return the closed segments, oldest first."""
        return list(self._closed)

    def remove(self, path: Path) -> None:
        """Forget a segment that was shipped."""
        path.unlink(missing_ok=True)
        self._closed.pop(path, None)

    def set_aside(self, path: Path) -> Path:
        """Keep a segment that cannot be shipped as it is, out of the way of the others; return where."""
        kept = path.with_suffix(".refused")
        path.rename(kept)
        self._closed.pop(path, None)
        return kept

    def close(self) -> None:
        """Write what was appended, close the segment and give the folder free."""
        self._queue.put(None)
        self._writer.join()
        self.rotate()
        os.close(self._lock)

    def _write(self) -> None:
        while (first := self._queue.get()) is not None:
            appends = [first]
            ending = False
            # Whatever came while the disk was busy with the sync before shares this one.
            while not self._queue.empty():
                more = self._queue.get()
                if more is None:
                    ending = True
                    break
                appends.append(more)
            try:
                failure = self._commit(b"".join([one.line for one in appends]))
            except Exception as error:  # noqa: BLE001  # whoever waits is answered, and the next append finds a writer
                log().exception("spool_failed", kind=type(error).__name__)
                failure = SpoolFull(f"the spool failed: {type(error).__name__}")
            _answer(appends, failure)
            if ending:
                return

    def _commit(self, lines: bytes) -> SpoolFull | None:
        with self._turn:
            if self.held_bytes + len(lines) > self.most_bytes:
                return SpoolFull(f"the spool holds {self.held_bytes:,} bytes, as much as it may")
            try:
                self._append(lines)
            except OSError as error:
                self._take_back()
                log().error("spool_refused", kind=type(error).__name__, reason=error.strerror)
                return SpoolFull(f"the spool could not be written: {error.strerror}")
            self._written += len(lines)
            if self._written >= self._segment_bytes:
                self._close_segment()
        return None

    def _append(self, lines: bytes) -> None:
        if self._file is None:
            self._number += 1
            self._path = self.folder / f"{self._number:012}{_SUFFIX}"
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            os.fsync(self._lock)
        left = memoryview(lines)
        while left:
            left = left[os.write(self._file, left) :]
        os.fdatasync(self._file)

    def _take_back(self) -> None:
        """Cut off what the failed append may have left, so that nothing of it is ever shipped."""
        if self._file is not None:
            try:
                os.ftruncate(self._file, self._written)
                os.fsync(self._file)
            except OSError as error:
                # A half-written line fails its checksum; whole ones are prices that nobody was given.
                log().error("spool_not_cut", reason=error.strerror)
                self._close_segment()

    def _close_segment(self) -> None:
        if self._file is None:
            return
        os.close(self._file)
        self._file = None
        if self._written:
            self._closed[self._path] = self._written
        else:
            self._path.unlink(missing_ok=True)
        self._written = 0


def check_free(folder: Path) -> None:
    """Raise SpoolInUse where another process has the folder, OSError where it cannot be made or read."""
    folder.mkdir(parents=True, exist_ok=True)
    os.close(_own(folder))


def _own(folder: Path) -> int:
    """Return a descriptor of the folder, locked for as long as this process lives."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise SpoolInUse(f"another process appends to {folder}; each needs a volume of its own") from None
    return descriptor


def _answer(appends: Sequence[_Append], failure: SpoolFull | None) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for one in appends:
        by_loop.setdefault(one.loop, []).append(one.done)
    for loop, futures in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, futures, failure)


def _settle(futures: Sequence[asyncio.Future[None]], failure: SpoolFull | None) -> None:
    for future in futures:
        # A request that ran out of time has given up waiting.
        if future.done():
            continue
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(SpoolFull(*failure.args))


def read_segment(path: Path) -> Segment:
    """Return what a closed segment holds, without the lines whose checksum is wrong."""
    payloads, unreadable = [], 0
    for line in path.read_bytes().split(b"\n"):
        if not line:
            continue
        checksum, payload = line[: _CHECKSUM - 1], line[_CHECKSUM:]
        if checksum == b"%08x" % zlib.crc32(payload):
            payloads.append(payload)
        else:
            unreadable += 1
    return Segment(path, tuple(payloads), unreadable)
