"""A source that sends exactly the bytes a test wants: a real server on a socket, below all that HTTP servers mend."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

# Seconds to wait between two pieces, or the bytes to send.
Piece = bytes | float


def response(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """Return a whole HTTP answer with its length stated."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


@dataclass
class ScriptedSource:
    """Where it listens, and the questions it was asked: the first line of each, and its headers in lower case."""

    url: str
    questions: list[str] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)


@contextmanager
def scripted(*answers: Sequence[Piece], tls: ssl.SSLContext | None = None) -> Iterator[ScriptedSource]:
    """Answer one connection after the other with these pieces, then close it."""
    plain = socket.create_server(("127.0.0.1", 0))
    with tls.wrap_socket(plain, server_side=True) if tls else plain as listener:
        source = ScriptedSource(f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}")
        thread = threading.Thread(target=_serve, args=(listener, source, answers), daemon=True)
        thread.start()
        yield source
    thread.join(10)


def _serve(listener: socket.socket, source: ScriptedSource, answers: Sequence[Sequence[Piece]]) -> None:
    for answer in answers:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        # Whoever asked may hang up at any time: that is what some of the answers are for.
        with connection, suppress(ConnectionError):
            question = connection.recv(1 << 16).decode()
            source.questions.append(question.split("\r\n")[0])
            source.headers.append(question.lower())
            for piece in answer:
                if isinstance(piece, bytes):
                    connection.sendall(piece)
                else:
                    time.sleep(piece)
