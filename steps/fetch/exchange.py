"""One question to an HTTP server over a connection of its own, all of it cut off when its time is over.

A connection that was kept open may have died meanwhile, and the source's counter moved for nothing; so there is no
pool, and http.client does what is left; httpx would take half as long again to read an answer.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection, InvalidURL
from threading import Timer
from typing import Final, Self
from urllib.parse import quote, urlencode, urlsplit

import certifi

_CONNECT_SECONDS: Final = 10.0
# A source may think for 60 seconds before its first byte; twice that without a byte, and it has gone.
SILENCE_SECONDS: Final = 120.0
# At most: what has arrived is not waited for to become more. Of 64 KiB they took a fifth longer.
_PIECE: Final = 1 << 20
_PORTS: Final = {"http": 80, "https": 443}
_HEADERS: Final = {
    "Accept": "application/json", "Accept-Encoding": "gzip", "Connection": "close", "User-Agent": "appraiser",
}  # fmt: skip


class NoAddress(Exception):
    """A text is not the address of an HTTP server; nothing was sent."""


class NoConnection(Exception):
    """No connection was made; nothing was sent."""


class Lost(Exception):
    """A question may have been sent, and no whole answer came."""


class Silent(Lost):
    """Nothing came for too long."""


class TooLate(Lost):
    """Not all of it came in time."""


@dataclass(frozen=True)
class Address:
    """Where a server is, and what its paths begin with; `tls` where it is spoken to encrypted."""

    host: str
    port: int
    path: str
    tls: ssl.SSLContext | None

    @classmethod
    def of(cls, url: str) -> Self:
        """Read an address; raises NoAddress."""
        try:
            parts = urlsplit(url)
            scheme, host, port = parts.scheme, parts.hostname or "", parts.port
            host.encode("idna")
            HTTPConnection(host, port or _PORTS["http"])
            path = quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~")
        except (ValueError, InvalidURL):
            # Not in Python's words: they may hold a password.
            raise NoAddress("it cannot be read as http://host:port/path") from None
        if scheme not in _PORTS or not host:
            raise NoAddress("http://host or https://host is missing")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise NoAddress("it ends with its path, and holds no user or password")
        # To load the certificates takes as long as to read 7 MB, and plain HTTP has no use for them.
        tls = ssl.create_default_context(cafile=certifi.where()) if scheme == "https" else None
        return cls(host, port or _PORTS[scheme], path, tls)

    def connection(self) -> HTTPConnection:
        """Return what speaks HTTP to it; not connected."""
        if self.tls is None:
            return HTTPConnection(self.host, self.port)
        return HTTPSConnection(self.host, self.port, context=self.tls)


class Exchange:
    """A question that was sent, and its answer: its status, its encoding, its bytes in pieces. To be closed.

    Raises NoAddress, NoConnection; Silent, TooLate or Lost once something may have been sent.
    """

    def __init__(self, address: Address, path: str, question: Mapping[str, str], seconds: float) -> None:
        with ExitStack() as parts:
            self._deadline = parts.enter_context(closing(_Deadline(seconds)))
            connection = parts.enter_context(closing(address.connection()))
            connection.sock = _connected(address, self._deadline)
            with self._watched():
                connection.request("GET", f"{address.path}{path}?{urlencode(question)}", headers=_HEADERS)
                self._response = parts.enter_context(connection.getresponse())
            self._parts = parts.pop_all()
        self.status: int = self._response.status
        self.encoding: str = self._response.headers.get("Content-Encoding", "")

    def pieces(self) -> Iterator[bytes]:
        """Yield the answer as it arrives."""
        came = False
        while piece := self._read():
            came = True
            yield piece
        # http.client takes the end of the connection for the end of anything: of a body, and of headers.
        if missing := self._response.length:
            raise Lost(f"{missing:,} bytes are missing")
        if self.status == HTTPStatus.OK and not came and self._response.length is None:
            raise Lost("no length, and no answer")

    def _read(self) -> bytes:
        with self._watched():
            return self._response.read1(_PIECE)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Say what a failure to write or read means."""
        try:
            yield
        except (OSError, HTTPException) as error:
            # First, because a connection that was cut breaks in many ways.
            self._deadline.check()
            kind = Silent if isinstance(error, TimeoutError) else Lost
            raise kind(str(error) or type(error).__name__) from None
        # Also where it looks like a whole answer: one without a length ends with its connection.
        self._deadline.check()

    def close(self) -> None:
        """Hang up."""
        self._parts.close()


def _connected(address: Address, deadline: _Deadline) -> socket.socket:
    try:
        found = socket.create_connection((address.host, address.port), _CONNECT_SECONDS)
        deadline.watch(found)
        if address.tls is not None:
            found = address.tls.wrap_socket(found, server_hostname=address.host)
    except OSError as error:
        raise NoConnection(str(error) or "no connection in time") from None
    found.settimeout(SILENCE_SECONDS)
    return found


class _Deadline:
    """Cuts a connection some seconds after it was made, until it is closed.

    A limit for each read alone would let an answer, or its headers, drip for ever.
    """

    def __init__(self, seconds: float) -> None:
        self._passed = False
        self._socket: socket.socket | None = None
        self._timer = Timer(seconds, self._cut)
        self._timer.start()

    def watch(self, connection: socket.socket) -> None:
        """Learn which connection it is."""
        # A copy, because TLS takes the socket itself over.
        self._socket = connection.dup()
        if self._passed:
            self._cut()

    def check(self) -> None:
        """Raise TooLate once the time is over."""
        if self._passed:
            raise TooLate

    def close(self) -> None:
        """Cut nothing any more."""
        self._timer.cancel()
        self._timer.join()
        if self._socket is not None:
            self._socket.close()

    def _cut(self) -> None:
        self._passed = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
