"""How the data source's answers go out: streamed as they should be, or as a misbehaviour has it."""

from __future__ import annotations

import asyncio
import itertools
import zlib
from collections.abc import AsyncGenerator, Generator
from typing import Final

from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from local.misbehaviour import Fault, Misbehaviour

DRIP_BYTES: Final = 64
MEBIBYTE: Final = 1 << 20

Piece = bytes | memoryview
Pieces = Generator[Piece] | AsyncGenerator[Piece]


class Streamed(StreamingResponse):
    """Streams pieces of JSON and closes their generator when the client has them, or has gone.

    Left to itself, an abandoned generator lives, with the file it reads, until the garbage collector finds it.
    """

    def __init__(self, pieces: Pieces, headers: dict[str, str] | None = None) -> None:
        super().__init__(pieces, headers=headers, media_type="application/json")
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        try:
            await self.deliver(scope, receive, send)
        finally:
            if isinstance(self._pieces, AsyncGenerator):
                await self._pieces.aclose()
            else:
                self._pieces.close()

    async def deliver(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all pieces."""
        await super().__call__(scope, receive, send)


class CutOff(Streamed):
    """Sends all pieces, then closes the connection with the answer unfinished."""

    async def deliver(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all pieces; where there are none, not even a status line."""
        started = False
        async for piece in self.body_iterator:
            if not started:
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            started = True
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        scope["state"]["transport"].close()
        # To return earlier would make the server send a 500 into a connection that it does not yet know to be closed.
        while (await receive())["type"] != "http.disconnect":
            pass


def delivered(wrong: Misbehaviour | None, pieces: Generator[Piece]) -> Response:
    """Return the answer that delivers the pieces of a text as the misbehaviour has it."""
    match wrong:
        case Misbehaviour(fault=Fault.SERVER_ERROR):
            return PlainTextResponse("upstream connect error or disconnect before headers", wrong.status)
        case Misbehaviour(fault=Fault.HTML_PAGE):
            return HTMLResponse("<!DOCTYPE html><html><body><h1>We will be back soon</h1></body></html>")
        case Misbehaviour(fault=Fault.GZIP_BOMB):
            return Streamed(bomb(wrong.mebibytes), {"Content-Encoding": "gzip"})
        case Misbehaviour(fault=Fault.ANSWER_LOST):
            return CutOff(_nothing())
        case Misbehaviour(fault=Fault.CONNECTION_CUT):
            return CutOff(broken_off(pieces, wrong.chunks))
    return Streamed(_spoilt(wrong, pieces))


def _spoilt(wrong: Misbehaviour | None, pieces: Generator[Piece]) -> Pieces:
    match wrong:
        case Misbehaviour(fault=Fault.TRUNCATED):
            return broken_off(pieces, wrong.chunks)
        case Misbehaviour(fault=Fault.SLOW_DRIP):
            return dripping(pieces, wrong.seconds)
    return pieces


def _nothing() -> Generator[Piece]:
    yield from ()


def broken_off(pieces: Generator[Piece], chunks: int) -> Generator[Piece]:
    """Yield the head of an answer and its first chunks of rows, of the last one the first half only."""
    yield next(pieces)
    last = next(pieces)
    for piece in itertools.islice(pieces, chunks - 1):
        yield last
        last = piece
    yield last[: len(last) // 2]


async def dripping(pieces: Generator[Piece], seconds: float) -> AsyncGenerator[Piece]:
    """Yield some bytes, wait, and so on."""
    for piece in pieces:
        for start in range(0, len(piece), DRIP_BYTES):
            yield piece[start : start + DRIP_BYTES]
            await asyncio.sleep(seconds)


def bomb(mebibytes: int) -> Generator[Piece]:
    """Yield a gzip file that unpacks to so many mebibytes of zeros in a JSON list that never ends."""
    head = b'{"group_number":1,"day":null,"batch_number":0,"data":['
    zeros = b"0," * (MEBIBYTE // 2)
    packer = zlib.compressobj(wbits=31)
    yield packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    for _ in range(mebibytes):
        yield packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH)
    yield packer.flush()
