"""What is known of one request from its first byte on: its id, when it came, and which version answered it."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import HTTPConnection
from starlette.types import Scope

_KEY: Final = "appraiser.trace"
_HEADER: Final = b"x-request-id"
# A caller's own id goes to logs and into RAW: bounded, and of characters that mean nothing anywhere.
_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")


@dataclass
class Trace:
    """A request's id, its start in seconds of the performance counter, the version that answers it, its rows."""

    request_id: str
    version: int | None
    rows: int = 0
    began: float = field(default_factory=time.perf_counter)


def begin(scope: Scope, version: int | None) -> Trace:
    """Return the trace of a request that has just come in, and leave it in its scope."""
    trace = Trace(_request_id(scope["headers"]), version)
    scope[_KEY] = trace
    return trace


def trace_of(request: HTTPConnection) -> Trace:
    """Return a request's trace."""
    trace: Trace = request.scope[_KEY]
    return trace


def _request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if name == _HEADER and _ID.fullmatch(value):
            return value.decode("ascii")
    return uuid.uuid4().hex
