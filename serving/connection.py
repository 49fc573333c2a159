"""A connection that cannot be held open, or filled, by a request that never begins.

The time limit of a request starts once its headers are complete, and uvicorn sets them no limit of its own.
"""

from __future__ import annotations

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEADER_BYTES: Final = 64 << 10
HEADER_SECONDS: Final = 30
_TOO_LARGE: Final = b"%bcontent-length: 0\r\nconnection: close\r\n\r\n" % STATUS_LINE[431]


class BoundedConnection(HttpToolsProtocol):
    """HTTP by httptools, whose request line and headers together may have 64 KiB and take 30 seconds."""

    _waiting: asyncio.TimerHandle | None = None
    _header_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._wait_no_longer()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Wait for the headers of a request that has begun."""
        super().on_message_begin()
        self._wait()

    def on_headers_complete(self) -> None:
        """Leave the rest of the request to its own limits."""
        self._wait_no_longer()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Read what came; end the connection where it is more than headers have."""
        super().data_received(data)
        if self._waiting is None:
            return
        self._header_bytes += len(data)
        if self._header_bytes > HEADER_BYTES and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def _wait(self) -> None:
        self._wait_no_longer()
        self._header_bytes = 0
        self._waiting = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _wait_no_longer(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
