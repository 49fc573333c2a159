"""What every route of the pod runner shares: the token, the form a client accepts, and `Status` objects for errors."""

from __future__ import annotations

import re
import secrets
from http import HTTPStatus
from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from local.pod_kubelet import Stopping
from local.pod_patch import PatchInvalid
from local.pod_selectors import SelectorInvalid
from local.pod_spec import Object, PodInvalid

_LOG: structlog.stdlib.BoundLogger = structlog.get_logger()

_REASONS = {
    HTTPStatus.BAD_REQUEST: "BadRequest",
    HTTPStatus.UNAUTHORIZED: "Unauthorized",
    HTTPStatus.NOT_FOUND: "NotFound",
    HTTPStatus.METHOD_NOT_ALLOWED: "MethodNotAllowed",
    HTTPStatus.NOT_ACCEPTABLE: "NotAcceptable",
    HTTPStatus.GONE: "Expired",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "UnsupportedMediaType",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Invalid",
    HTTPStatus.INTERNAL_SERVER_ERROR: "InternalError",
    HTTPStatus.SERVICE_UNAVAILABLE: "ServiceUnavailable",
}


class ApiError(Exception):
    """An answer other than success; `reason` where it is not the usual one of the code."""

    def __init__(self, code: HTTPStatus, message: str, reason: str = "", details: Object | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason or _REASONS[code]
        self.details = details


def not_found(resource: str, name: str) -> ApiError:
    """Return the error for an object that is not there."""
    return ApiError(HTTPStatus.NOT_FOUND, f'{resource} "{name}" not found', details={"name": name, "kind": resource})


def status_object(code: HTTPStatus, message: str, reason: str = "", details: Object | None = None) -> Object:
    """Return the `Status` object in which Kubernetes says that something failed."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason or _REASONS.get(code, ""),
        "details": details or {},
        "code": int(code),
    }


def accepts_table(request: Request, form: str = "as=Table") -> bool:
    """Tell whether the client prefers another form over plain JSON; raise ApiError where it can read neither."""
    for part in request.headers.get("accept", "*/*").split(","):
        kind, *parameters = [word.strip() for word in part.split(";")]
        if kind == "application/json" and form in parameters:
            return True
        if kind in ("application/json", "application/*", "*/*", "text/plain") and "as=" not in part:
            return False
    raise ApiError(HTTPStatus.NOT_ACCEPTABLE, "only the following media types are accepted: application/json")


class TokenRequired:
    """Lets only requests with the bearer token through."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 401."""
        given = dict(scope.get("headers", ())).get(b"authorization", b"")
        if scope["type"] == "http" and not secrets.compare_digest(given, self._expected):
            code = HTTPStatus.UNAUTHORIZED
            refusal = JSONResponse(status_object(code, "Unauthorized"), code, {"WWW-Authenticate": "Bearer"})
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)


async def _api_error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, ApiError):
        raise error
    return JSONResponse(status_object(error.code, str(error), error.reason, error.details), error.code)


async def _routing_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    code = HTTPStatus(error.status_code)
    message = {
        HTTPStatus.NOT_FOUND: "the server could not find the requested resource",
        HTTPStatus.METHOD_NOT_ALLOWED: f"the pod runner does not {request.method} here",
    }.get(code, error.detail)
    return JSONResponse(status_object(code, message), code)


async def _bad_request(_request: Request, error: Exception) -> Response:
    return JSONResponse(status_object(HTTPStatus.BAD_REQUEST, str(error)), HTTPStatus.BAD_REQUEST)


async def _stopping(_request: Request, error: Exception) -> Response:
    return JSONResponse(status_object(HTTPStatus.SERVICE_UNAVAILABLE, str(error)), HTTPStatus.SERVICE_UNAVAILABLE)


async def _invalid(_request: Request, error: Exception) -> Response:
    code, field = HTTPStatus.UNPROCESSABLE_ENTITY, re.match(r"[\w.\[\]]+", str(error))
    cause = {"reason": "FieldValueInvalid", "message": str(error), "field": field[0] if field else ""}
    return JSONResponse(
        status_object(code, f"Pod is invalid: {error}", details={"kind": "Pod", "causes": [cause]}), code
    )


async def _fault(request: Request, error: Exception) -> Response:
    _LOG.error("request_fault", method=request.method, path=request.url.path, error=repr(error))
    code = HTTPStatus.INTERNAL_SERVER_ERROR
    return JSONResponse(status_object(code, f"an error of the pod runner: {error!r}"), code)


HANDLERS: dict[Any, Any] = {
    ApiError: _api_error,
    HTTPException: _routing_error,
    SelectorInvalid: _bad_request,
    PatchInvalid: _bad_request,
    PodInvalid: _invalid,
    Stopping: _stopping,
    Exception: _fault,
}
