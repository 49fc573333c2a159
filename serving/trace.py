"""What is known of one request once its headers are read: its id, when that was, which version answered it, how."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import HTTPConnection
from starlette.types import Scope

_KEY: Final = "appraiser.trace"
_HEADER: Final = b"x-request-id"
_ID_BYTES: Final = 16
# A caller's own id goes to logs and into RAW: bounded, and of characters that mean nothing anywhere.
_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")


@dataclass
class Trace:
    """A request's id, its start in seconds of the performance counter, the version that answers it, its rows.

    `status` is 0 until an answer has begun.
    """

    request_id: str
    version: int | None
    rows: int = 0
    status: int = 0
    began: float = field(default_factory=time.perf_counter)


def begin(scope: Scope, version: int | None) -> Trace:
    """Return the trace of a request that has just come in, and leave it in its scope."""
    trace = Trace(_request_id(scope["headers"]), version)
    scope[_KEY] = trace
    return trace


def trace_of(request: HTTPConnection) -> Trace:
    """Return a request's trace."""
    return trace_in(request.scope)


def trace_in(scope: Scope) -> Trace:
    """Return the trace that was begun in a scope."""
    trace: Trace = scope[_KEY]
    return trace


def _request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if name == _HEADER and _ID.fullmatch(value):
            return value.decode("ascii")
    return os.urandom(_ID_BYTES).hex()
