"""A request that never begins holds no connection and no memory; one that does is none of this layer's business."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from serving import connection
from serving.connection import FRUITLESS_BYTES, BoundedConnection

REQUEST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bytes]]


async def app(_scope: Any, receive: Any, send: Any) -> None:
    """Answer with the number of bytes that the body had."""
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message["body"]), message.get("more_body", False)
    content = b"%d bytes" % size
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(content))]})
    await send({"type": "http.response.body", "body": content})


def talk(what: Talk) -> bytes:
    """Return what a connection to a server in this process gives."""

    async def serve() -> bytes:
        config, state, loop = Config(app, log_config=None), ServerState(), asyncio.get_running_loop()
        server = await loop.create_server(lambda: BoundedConnection(config, state, {}), "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
            try:
                return await asyncio.wait_for(what(reader, writer), 20)
            finally:
                writer.close()

    return asyncio.run(serve())


ASKED = REQUEST % (0, b"")


@pytest.mark.parametrize(
    "begun", [b"", b"GET / HTT", b"GET / HTTP/1.1\r\nX-Slow: a", ASKED + b"GET /", ASKED + b"\r\n", ASKED * 2 + b"\r\n"]
)
def test_a_connection_ends_when_its_headers_do_not(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "WAIT_SECONDS", 0.2)

    async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(begun)
        return await reader.read()

    assert talk(begin).count(b"200 OK") == begun.count(b"POST")


CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("endless", "more", "answer"),
    [
        (b"GET /", b"a", b"HTTP/1.1 431 "), (b"GET / HTTP/1.1\r\nX-Endless: ", b"a", b"HTTP/1.1 431 "),
        (b"", b"\r\n", b"HTTP/1.1 431 "), (CHUNKED + b"0\r\nX-Endless: ", b"a", b""),
        (CHUNKED + b"0\r\n", b"X-Many: a\r\n", b""), (CHUNKED + b"1;x=", b"a", b""),
    ],
)  # fmt: skip
def test_what_does_not_end_is_ended(endless: bytes, more: bytes, answer: bytes) -> None:
    sent = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        nonlocal sent
        writer.write(endless)
        while not reader.at_eof() and sent < 100 * FRUITLESS_BYTES:
            try:
                writer.write(more * 4096)
                sent += len(more) * 4096
                await writer.drain()
                await asyncio.sleep(0)
            except ConnectionError:
                break
        return await reader.read(1000)

    # What was on its way when it ended may be answered with a reset.
    with suppress(ConnectionResetError):
        assert talk(pour).startswith(answer)
    assert sent < 100 * FRUITLESS_BYTES


def test_a_request_that_begins_behind_a_large_body_is_waited_for() -> None:
    size = FRUITLESS_BYTES + 5000

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(REQUEST % (size, b"b" * size) + ASKED[:10])
        found = await reader.readuntil(b"bytes")
        writer.write(ASKED[10:])
        return found + await reader.readuntil(b"bytes")

    assert talk(ask).count(b"200 OK") == 2


def test_bodies_are_as_long_and_take_as_long_as_they_like(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "WAIT_SECONDS", 0.2)
    size = 20 * FRUITLESS_BYTES

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        request = REQUEST % (size, b"b" * size)
        writer.write(request[: -size // 2])
        await writer.drain()
        await asyncio.sleep(0.5)
        writer.write(request[-size // 2 :])
        return await reader.readuntil(b"bytes") + await again(reader, writer)

    async def again(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        for _ in range(50):
            writer.write(REQUEST % (3000, b"b" * 3000))
        return b"".join([await reader.readuntil(b"bytes") for _ in range(50)])

    found = talk(ask)
    assert found.count(b"200 OK") == 51
    assert b"%d bytes" % size in found
    assert found.count(b"3000 bytes") == 50
