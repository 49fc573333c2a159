"""What every request passes: it gets an id and a time limit, is counted and timed, and leaves one line in the log.

Plain ASGI: a middleware of Starlette's own would cost each request a task and a queue.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import sys
import time
from collections.abc import Callable
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving import trace as traces
from serving.metrics import Metrics
from serving.problems import Kind, Refused, response
from serving.trace import Trace, trace_in
from steps.common.logs import log

_UNKNOWN: Final = "other"
# Nobody receives it: so that logs and metrics tell callers who went away from failures of ours.
_WENT_AWAY: Final = 499


class Gate:
    """The outermost layer: begins and ends what is known of a request."""

    def __init__(self, app: ASGIApp, metrics: Metrics, version: Callable[[], int | None]) -> None:
        self._app = app
        self._metrics = metrics
        self._version = version

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, and note how it was answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trace = traces.begin(scope, self._version())

        async def name_it(message: Message) -> None:
            if message["type"] == "http.response.start":
                trace.status = message["status"]
                version = b"none" if trace.version is None else b"%d" % trace.version
                message["headers"] += [(b"x-request-id", trace.request_id.encode()), (b"x-model-version", version)]
            await send(message)

        await self._app(scope, receive, name_it)
        self._note(scope, trace)

    def _note(self, scope: Scope, trace: Trace) -> None:
        seconds = time.perf_counter() - trace.began
        # The route's pattern, never the path: anybody can make up paths.
        route = getattr(scope.get("route"), "path", _UNKNOWN)
        self._metrics.answered(route, trace.status, seconds)
        now = dt.datetime.now(dt.UTC).isoformat().replace("+00:00", "Z")
        rows = f" rows={trace.rows}" if trace.rows else ""
        # In the form of steps/common/logs.py; through the logger a line takes longer than the price.
        sys.stdout.write(
            f"timestamp={now} level=info event=request method={scope['method']} route={route} status={trace.status} "
            f"ms={1000 * seconds:.2f}{rows} version={trace.version} request_id={trace.request_id}\n"
        )


class Guard:
    """The innermost layer: whatever becomes of a request, its caller gets an answer, in time.

    Below those that add headers: without CORS' own, a page is told of no problem, only that the network failed.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trace = trace_in(scope)
        try:
            async with asyncio.timeout(self._seconds):
                await self._app(scope, receive, send)
        except TimeoutError:
            slow = Refused(Kind.TOO_SLOW, f"It may take {self._seconds:g} seconds.")
            await _fail(slow, trace, scope, receive, send)
        except ClientDisconnect:
            trace.status = trace.status or _WENT_AWAY
        except Exception as error:  # noqa: BLE001  # the last resort: the whole story to the log, a sentence to the caller
            log().exception("request_failed", kind=type(error).__name__, request_id=trace.request_id)
            failed = Refused(Kind.INTERNAL, "It is in the log under this request's id.")
            await _fail(failed, trace, scope, receive, send)


async def _fail(refused: Refused, trace: Trace, scope: Scope, receive: Receive, send: Send) -> None:
    if not trace.status:
        await response(refused, trace)(scope, receive, send)
