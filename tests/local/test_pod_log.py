"""Logs of containers, as stored and as read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local.pod_log import Log, LogQuery


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "container.log"


def written(path: Path, *parts: bytes) -> Log:
    log = Log(path, live=True)
    for part in parts:
        log.append(part)
    log.close()
    return log


def read(log: Log, query: LogQuery) -> bytes:
    async def whole() -> bytes:
        return b"".join([part async for part in log.read(query)])

    return asyncio.run(whole())


@pytest.mark.parametrize(
    ("parts", "lines"),
    [
        ((), b""),
        ((b"a\nb\n",), b"a\nb\n"),
        ((b"a", b"b\nc"), b"ab\nc\n"),
        ((b"\n\n", b"a\n"), b"\n\na\n"),
        ((b"\xff\xfe\r\n",), b"\xff\xfe\r\n"),
        ((b"x" * 3_000_000,), b"x" * 3_000_000 + b"\n"),
    ],
)
def test_lines_are_kept_as_they_were(path: Path, parts: tuple[bytes, ...], lines: bytes) -> None:
    written(path, *parts)
    assert read(Log(path), LogQuery()) == lines


@pytest.mark.parametrize("count", [0, 1, 2, 7_000, 19_999, 20_000, 20_001])
def test_the_last_lines(path: Path, count: int) -> None:
    lines = [b"line %d\n" % number for number in range(20_000)]
    log = written(path, b"".join(lines))
    assert read(log, LogQuery(tail=count)) == b"".join(lines[len(lines) - count if count < len(lines) else 0 :])


def test_lines_since(path: Path) -> None:
    log = written(path, b"early\n", b"late\n")
    stamps = [line.split(b" ")[0].decode() for line in read(log, LogQuery(timestamps=True)).splitlines()]
    late = datetime.fromisoformat(stamps[1])
    assert stamps[0] < stamps[1]
    assert read(log, LogQuery(since=late)) == b"late\n"
    assert read(log, LogQuery(since=late - timedelta(hours=1))) == b"early\nlate\n"
    assert read(log, LogQuery(since=datetime.now(UTC) + timedelta(hours=1))) == b""


@pytest.mark.parametrize(("limit", "text"), [(0, b""), (3, b"one"), (5, b"one\nt"), (100, b"one\ntwo\n")])
def test_a_limit_in_bytes(path: Path, limit: int, text: bytes) -> None:
    assert read(written(path, b"one\ntwo\n"), LogQuery(limit=limit)) == text


def test_the_end_of_a_long_log_is_the_message_of_a_failure(path: Path) -> None:
    log = written(path, b"".join(b"line %d\n" % number for number in range(5_000)))
    message = log.last_lines()
    assert message.endswith("line 4998\nline 4999\n")
    assert message.count("\n") == 80


def test_a_live_read_goes_on_until_the_end(path: Path) -> None:
    async def follow() -> list[bytes]:
        log = Log(path, live=True)
        log.append(b"before\n")
        reading: AsyncIterator[bytes] = log.read(LogQuery(follow=True))
        seen = [await anext(reading)]
        log.append(b"half a ")
        rest = asyncio.ensure_future(anext(reading))
        await asyncio.sleep(0)
        assert not rest.done()
        log.append(b"line\n")
        seen.append(await rest)
        log.append(b"the end")
        log.close()
        return seen + [part async for part in reading]

    assert asyncio.run(follow()) == [b"before\n", b"half a line\n", b"the end\n"]
