"""A connection that cannot be held open, or filled, by what is no request.

The time limit of a request runs from the end of its headers to the beginning of its answer, and uvicorn has no limit of
its own: its keep-alive ends with the first byte, whatever that is.
"""

from __future__ import annotations

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

FRUITLESS_BYTES: Final = 64 << 10
WAIT_SECONDS: Final = 30
_TOO_LARGE: Final = b"%bcontent-length: 0\r\nconnection: close\r\n\r\n" % STATUS_LINE[431]


class BoundedConnection(HttpToolsProtocol):
    """HTTP by httptools, without what can go on for ever: headers, trailers, line ends, waiting.

    More than 64 KiB in a row that complete no headers and are no body end the connection, and so do 30 seconds in which
    no request is at work and none has come whole up to its body.
    """

    _waiting: asyncio.TimerHandle | None = None
    _fruitless = 0
    _fruit = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._wait_no_longer()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Give a request that has begun its time."""
        super().on_message_begin()
        self._wait_no_longer()
        self._wait()

    def on_headers_complete(self) -> None:
        """Leave the rest of the request to its own limits."""
        self._fruit = True
        self._wait_no_longer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Leave the body to whoever reads it."""
        self._fruit = True
        super().on_body(body)

    def data_received(self, data: bytes) -> None:
        """Read what came; end the connection where it has been nothing of use for too long."""
        self._fruit = False
        super().data_received(data)
        if self.transport.is_closing():
            return
        at_work = self.cycle is not None and not self.cycle.response_complete
        if not at_work:
            self._wait()
        # The rest of a read that completed something is no more than a read has.
        self._fruitless = 0 if self._fruit else self._fruitless + len(data)
        if self._fruitless > FRUITLESS_BYTES:
            if not at_work:
                self.transport.write(_TOO_LARGE)
            self.transport.close()

    def _wait(self) -> None:
        if self._waiting is None:
            self._waiting = self.loop.call_later(WAIT_SECONDS, self._give_up)

    def _wait_no_longer(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        self._waiting = None
        self.transport.close()
