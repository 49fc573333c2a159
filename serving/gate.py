"""What every request passes: it gets an id and a time limit, is counted and timed, and leaves one line in the log.

Plain ASGI: a middleware of Starlette's own would cost each request a task and a queue.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving import trace as traces
from serving.metrics import Metrics
from serving.problems import Kind, Refused, response
from serving.trace import Trace
from steps.common.logs import log

_UNKNOWN = "other"


@dataclass
class _Answer:
    status: int = 0


class Gate:
    """The outermost layer around an app."""

    def __init__(self, app: ASGIApp, metrics: Metrics, version: Callable[[], int | None], seconds: float) -> None:
        self._app = app
        self._metrics = metrics
        self._version = version
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trace = traces.begin(scope, self._version())
        answer = _Answer()

        async def name_it(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                version = b"none" if trace.version is None else b"%d" % trace.version
                message["headers"] += [(b"x-request-id", trace.request_id.encode()), (b"x-model-version", version)]
            await send(message)

        try:
            async with asyncio.timeout(self._seconds):
                await self._app(scope, receive, name_it)
        except TimeoutError:
            slow = Refused(Kind.TOO_SLOW, f"It may take {self._seconds:g} seconds.")
            await self._fail(slow, answer, trace, scope, receive, name_it)
        except Exception as error:  # noqa: BLE001  # the last resort: the whole story to the log, a sentence to the caller
            log().exception("request_failed", kind=type(error).__name__, request_id=trace.request_id)
            failed = Refused(Kind.INTERNAL, "It is in the log under this request's id.")
            await self._fail(failed, answer, trace, scope, receive, name_it)
        self._note(scope, trace, answer.status)

    async def _fail(
        self, refused: Refused, answer: _Answer, trace: Trace, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if not answer.status:
            await response(refused, trace)(scope, receive, send)

    def _note(self, scope: Scope, trace: Trace, status: int) -> None:
        seconds = time.perf_counter() - trace.began
        # The route's pattern, never the path: anybody can make up paths.
        route = getattr(scope.get("route"), "path", _UNKNOWN)
        self._metrics.answered(route, status, seconds)
        now = dt.datetime.now(dt.UTC).isoformat().replace("+00:00", "Z")
        rows = f" rows={trace.rows}" if trace.rows else ""
        # In the form of steps/common/logs.py; through the logger a line takes longer than the price.
        sys.stdout.write(
            f"timestamp={now} level=info event=request method={scope['method']} route={route} status={status} "
            f"ms={1000 * seconds:.2f}{rows} version={trace.version} request_id={trace.request_id}\n"
        )
