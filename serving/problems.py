"""Everything that can go wrong, as problem details (RFC 9457): one kind a consequence, sentences for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from serving import answers
from serving.spool import SpoolFull
from serving.trace import Trace, trace_of
from steps.common.listing import Refusal
from steps.common.logs import log

MEDIA_TYPE: Final = "application/problem+json"
_RETRY_SECONDS: Final = 5


class Kind(Enum):
    """A kind of problem: its name in `type`, its status and its title."""

    LISTING_REFUSED = ("listing-refused", 422, "The listing was refused")
    NOT_JSON = ("request-refused", 400, "The body is not JSON")
    REQUEST_REFUSED = ("request-refused", 422, "The request was refused")
    NO_MODEL = ("no-model", 503, "There is no model to serve")
    LOG_FULL = ("log-full", 503, "The prediction could not be stored")
    LEDGER_DOWN = ("ledger-down", 503, "The history cannot be read")
    NOT_READY = ("not-ready", 503, "The service is not ready")
    TOO_LARGE = ("body-too-large", 413, "The body is too large")
    TOO_SLOW = ("too-slow", 503, "The request took too long")
    KEY_REFUSED = ("key-refused", 401, "The key is missing or wrong")
    NO_TOKEN = ("token-not-configured", 403, "This route is closed")
    NOT_FOUND = ("not-found", 404, "There is nothing here")
    NOT_ALLOWED = ("method-not-allowed", 405, "The method is not allowed here")
    INTERNAL = ("internal", 500, "The service failed")

    @property
    def status(self) -> int:
        """Return the HTTP status."""
        return self.value[1]


@dataclass
class Refused(Exception):
    """A request that gets a problem for an answer: its kind, a sentence, and each broken rule."""

    kind: Kind
    detail: str
    errors: Sequence[Refusal] = ()


def describe(refused: Refused, trace: Trace) -> answers.Problem:
    """Return the problem's own fields."""
    name, status, title = refused.kind.value
    return {
        "type": f"urn:appraiser:problem:{name}",
        "title": title,
        "status": status,
        "detail": refused.detail,
        "errors": [fault(one) for one in refused.errors],
        "request_id": trace.request_id,
        "model_version": trace.version,
    }


def fault(refusal: Refusal) -> answers.Fault:
    """Return a refusal as an answer has it."""
    return {"field": refusal.field, "reason": refusal.reason.value, "rule": refusal.rule}


def response(refused: Refused, trace: Trace, **headers: str) -> Response:
    """Return the answer for a problem."""
    extra = dict(headers)
    if refused.kind.status == Kind.NO_MODEL.status:
        extra["Retry-After"] = str(_RETRY_SECONDS)
    if refused.kind is Kind.KEY_REFUSED:
        extra["WWW-Authenticate"] = "Bearer"
    body = msgspec.json.encode(describe(refused, trace))
    return Response(body, refused.kind.status, extra, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Make every error of an app a problem."""
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(SpoolFull, _spool_full)
    app.add_exception_handler(RequestValidationError, _parameters)
    app.add_exception_handler(HTTPException, _http)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)  # noqa: S101  # that is what it is registered for
    return response(error, trace_of(request))


async def _spool_full(request: Request, error: Exception) -> Response:
    return response(Refused(Kind.LOG_FULL, f"No price is given that cannot be stored: {error}."), trace_of(request))


async def _parameters(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  # that is what it is registered for
    said = "; ".join(f"{_place(one)}: {one['msg']}" for one in error.errors())
    return response(Refused(Kind.REQUEST_REFUSED, said), trace_of(request))


def _place(found: dict[str, Any]) -> str:
    return ".".join(map(str, found["loc"][1:])) or str(found["loc"][0])


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # that is what it is registered for
    kinds = {404: Kind.NOT_FOUND, 405: Kind.NOT_ALLOWED}
    kind = kinds.get(error.status_code, Kind.INTERNAL if error.status_code >= Kind.INTERNAL.status else Kind.NOT_JSON)
    if kind is Kind.INTERNAL:
        log().error("unexpected_status", status=error.status_code)
    details = {Kind.NOT_FOUND: f"No route {request.url.path[:80]}.", Kind.NOT_ALLOWED: f"{request.method} is not."}
    return response(Refused(kind, details.get(kind, str(error.detail))), trace_of(request), **(error.headers or {}))
