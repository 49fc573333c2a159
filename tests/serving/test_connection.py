"""A request that never begins holds no connection and no memory; one that does is none of this layer's business."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from serving import connection
from serving.connection import HEADER_BYTES, BoundedConnection

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


@pytest.mark.parametrize("begun", [b"", b"GET / HTT", b"GET / HTTP/1.1\r\nX-Slow: a", REQUEST % (0, b"") + b"GET /"])
def test_a_connection_ends_when_its_headers_do_not(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEADER_SECONDS", 0.2)

    async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(begun)
        return await reader.read()

    assert talk(begin).count(b"200 OK") == begun.count(b"POST")


@pytest.mark.parametrize("endless", [b"GET /", b"GET / HTTP/1.1\r\nX-Endless: "])
def test_headers_that_do_not_end_are_refused(endless: bytes) -> None:
    sent = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        nonlocal sent
        writer.write(endless)
        while not reader.at_eof() and sent < 100 * HEADER_BYTES:
            try:
                writer.write(b"a" * 4096)
                sent += 4096
                await writer.drain()
                await asyncio.sleep(0)
            except ConnectionError:
                break
        return await reader.read(1000)

    try:
        assert talk(pour).startswith(b"HTTP/1.1 431 ")
    except ConnectionResetError:
        assert sent < 100 * HEADER_BYTES


def test_bodies_are_as_long_and_take_as_long_as_they_like(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEADER_SECONDS", 0.2)
    size = 20 * HEADER_BYTES

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
