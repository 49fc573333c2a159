"""The service: its routes, and the one place where every client is opened and closed."""

from __future__ import annotations

import asyncio
import gc
import hmac
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi import Path as InPath
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from pydantic import SecretStr
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import request_response

from serving import answers, manual, model_info, pricing, problems
from serving.champion import Champions
from serving.gate import Gate, Guard
from serving.history import History
from serving.ledger_watch import LedgerWatch
from serving.metrics import Metrics, Observed
from serving.predictions import Shipper
from serving.prices import Prices
from serving.problems import Kind, Refused
from serving.settings import Settings
from serving.spool import Spool
from serving.trace import Trace, trace_of
from steps.common.store.connection import open_engine
from steps.common.tracking import Tracking

_LEDGER_SECONDS: Final = (3, 10, 13)  # to connect, for a statement, until a server that says nothing is given up
_RAW_SECONDS: Final = (5, 60, 65)
_LARGEST: Final = 2**31 - 1
_MEGABYTE: Final = 1 << 20

Limit = Annotated[int, Query(ge=1, le=100, description="Most entries of a page")]
Offset = Annotated[int, Query(ge=0, le=1_000_000, description="Entries to leave out at the beginning")]
Number = Annotated[int, InPath(ge=0, le=_LARGEST)]


@dataclass(frozen=True)
class Service:
    """Every part that routes need."""

    settings: Settings
    champions: Champions
    prices: Prices
    history: History
    metrics: Metrics
    readers: ThreadPoolExecutor
    scraper: ThreadPoolExecutor

    async def read[T](self, work: Callable[[], T]) -> T:
        """Return what a blocking read of the ledger gives."""
        return await asyncio.get_running_loop().run_in_executor(self.readers, work)

    async def metrics_text(self) -> bytes:
        """Return the metrics; whatever keeps the readers of the ledger busy does not hold them up."""
        return await asyncio.get_running_loop().run_in_executor(self.scraper, self.metrics.text)


def create_app(settings: Settings) -> FastAPI:
    """Return the service; its clients open and close with the app's lifespan."""
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with ExitStack() as parts:
            app.state.service = _open(settings, metrics, parts)
            # What is there now stays: looking through it for garbage held every request up, for a tenth of a second.
            gc.collect()
            gc.freeze()
            watching = asyncio.create_task(app.state.service.champions.watch())
            try:
                yield
            finally:
                watching.cancel()
                with suppress(asyncio.CancelledError):
                    await watching

    # With FastAPI's own, the manual is a blank page wherever its scripts' host cannot be reached.
    app = FastAPIOffline(
        title="Appraiser", version=settings.git_sha, description=manual.DESCRIPTION, lifespan=lifespan,
        openapi_tags=manual.TAGS, redirect_slashes=False,
    )  # fmt: skip
    problems.install(app)
    # The one added last is the outermost.
    app.add_middleware(Guard, seconds=settings.request_seconds)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=settings.cors_origins, allow_methods=["GET", "POST"], allow_headers=["*"],
            expose_headers=["X-Request-ID", "X-Model-Version"],
        )  # fmt: skip
    app.add_middleware(Gate, metrics=metrics, version=lambda: _version(app.state.service))
    _add_price_routes(app)
    _add_model_routes(app)
    _add_history_routes(app)
    manual.install(app)
    return app


def _open(settings: Settings, metrics: Metrics, parts: ExitStack) -> Service:
    """Open every client and start what works in the background; closing `parts` ends all of it, the last one first."""
    ledger = open_engine(settings, "ledger_url", *_LEDGER_SECONDS)
    parts.callback(ledger.dispose)
    raw = open_engine(settings, "raw_url", *_RAW_SECONDS)
    parts.callback(raw.dispose)
    spool = Spool(spool_folder(settings), settings.spool_megabytes * _MEGABYTE)
    shipper = Shipper(spool, raw, settings.ship_seconds)
    # Closing the spool writes what was appended; the shipper then has its last try.
    parts.callback(shipper.close)
    parts.callback(spool.close)
    models = Path(settings.needed("state_folder")) / "models"
    champions = Champions(Tracking(settings), ledger, models, settings.poll_seconds)
    prices = parts.enter_context(closing(Prices(champions, spool, metrics, settings.batch_rows)))
    watch = LedgerWatch(ledger)
    metrics.registry.register(Observed(champions, spool, shipper, watch.figures))
    champions.start_from_disk()
    shipper.start()
    watch.start()
    parts.callback(watch.close)
    threads = [_threads(parts, name, count) for name, count in (("reader", 2), ("scraper", 1))]
    return Service(settings, champions, prices, History(ledger), metrics, *threads)


def _threads(parts: ExitStack, name: str, count: int) -> ThreadPoolExecutor:
    """Return threads that are not waited for at the end: shipping comes first, whatever holds up a read."""
    made = ThreadPoolExecutor(count, thread_name_prefix=name)
    parts.callback(made.shutdown, wait=False, cancel_futures=True)
    return made


def spool_folder(settings: Settings) -> Path:
    """Return where predictions wait for RAW."""
    return Path(settings.needed("state_folder")) / "spool"


def _version(service: Service) -> int | None:
    champion = service.champions.current
    return champion.version if champion else None


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _json(answer: Mapping[str, Any], status: int = HTTPStatus.OK) -> Response:
    return Response(msgspec.json.encode(answer), status, media_type="application/json")


def _named(trace: Trace) -> answers.Named:
    return {"request_id": trace.request_id, "model_version": trace.version}


def _same(given: str | None, wanted: SecretStr) -> bool:
    return hmac.compare_digest((given or "").encode(), wanted.get_secret_value().encode())


async def _body(request: Request, most: int | None = None) -> bytes:
    """Return a price route's body; raise Refused where the key is wrong or it has more than `most` bytes."""
    service = _service(request)
    settings = service.settings
    if settings.api_key is not None and not _same(request.headers.get("x-api-key"), settings.api_key):
        raise Refused(Kind.KEY_REFUSED, "The header X-API-Key is missing or wrong.")
    most = most or settings.body_megabytes * _MEGABYTE
    body = bytearray()
    async for block in request.stream():
        body += block
        if len(body) > most:
            why, route = f"It may have {most:,} bytes.", request.scope["route"].path
            await service.prices.refuse(Kind.TOO_LARGE, (), why, bytes(body), route, trace_of(request))
    return bytes(body)


class PriceRoute(APIRoute):
    """A route that FastAPI describes and leaves alone: its endpoint takes the request and makes the response itself.

    What FastAPI does around an endpoint, for the arguments and answers it would make, took a third of a price's time.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self.app = request_response(endpoint)


def _add_price_routes(app: FastAPI) -> None:
    router = APIRouter(route_class=PriceRoute)

    @router.post("/predict", **manual.route("Prices", answers.Prediction, body="Listing"))
    async def predict(request: Request) -> Response:
        """Price one listing."""
        body = await _body(request, pricing.LISTING_BYTES)
        return _json(await _service(request).prices.predict(body, trace_of(request)))

    @router.post("/predict-batch", **manual.route("Prices", answers.BatchPrediction, body="BatchOfListings"))
    async def predict_batch(request: Request) -> Response:
        """Price up to 10,000 listings; a row that is none gets the reason instead, and fails no other."""
        body = await _body(request)
        return _json(await _service(request).prices.predict_batch(body, trace_of(request)))

    @router.post("/explain", **manual.route("Prices", answers.Explanation, body="Listing"))
    async def explain(request: Request) -> Response:
        """Price one listing and say what each feature contributes, in log price and in dollars."""
        body = await _body(request, pricing.LISTING_BYTES)
        return _json(await _service(request).prices.explain(body, trace_of(request)))

    app.include_router(router)
    # They are asked for most, and routes are tried in their order.
    app.router.routes.sort(key=lambda route: not isinstance(route, PriceRoute))


def _add_model_routes(app: FastAPI) -> None:
    @app.get("/", **manual.route("Service", answers.Welcome))
    async def welcome(request: Request) -> Response:
        """Say where things are."""
        return _json({**manual.WELCOME, **_named(trace_of(request))})

    @app.get("/health", **manual.route("Service", answers.Alive))
    async def health(request: Request) -> Response:
        """Say that the process answers."""
        return _json({"status": "alive", **_named(trace_of(request))})

    @app.get("/ready", **manual.route("Service", answers.Ready, unavailable=True))
    async def ready(request: Request) -> Response:
        """Say whether the alias has been looked at since the start, and what came of it."""
        reason = model_info.readiness(_service(request).champions)
        return _json({"ready": True, "reason": reason, **_named(trace_of(request))})

    @app.get("/model-info", **manual.route("Models", answers.ModelInfo, unavailable=True))
    async def served_model(
        request: Request, values: Annotated[int, Query(ge=0, le=100_000, description="Most values of a field")] = 200
    ) -> Response:
        """Describe the model that is served: its card, its features, the categories it knows."""
        return _json(model_info.describe(_service(request).champions, values, trace_of(request)))

    @app.post("/reload-model", **manual.route("Models", answers.Reload, token=True))
    async def reload_model(request: Request) -> Response:
        """Look at the alias now and follow it; say what that did."""
        _admit(request)
        look = await asyncio.to_thread(lambda: _service(request).champions.look(patient=False))
        trace = trace_of(request)
        trace.version = _version(_service(request))
        return _json({"outcome": look.outcome.value, "reason": look.reason, **_named(trace)})

    @app.get("/metrics", **manual.text_route("Service"))
    async def metrics(request: Request) -> Response:
        """Return the metrics in Prometheus' text format."""
        return Response(await _service(request).metrics_text(), media_type=manual.METRICS_TYPE)


def _admit(request: Request) -> None:
    token = _service(request).settings.token
    if token is None:
        raise Refused(Kind.NO_TOKEN, "No token is configured for it (APPRAISER_TOKEN).")
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if not (_same(given, token) and scheme.lower() == "bearer"):
        raise Refused(Kind.KEY_REFUSED, "The header Authorization: Bearer … is missing or its token wrong.")


def _add_history_routes(app: FastAPI) -> None:
    async def answer(request: Request, read: Callable[[History], Mapping[str, Any]]) -> Response:
        service = _service(request)
        found = await service.read(lambda: read(service.history))
        return _json({**found, **_named(trace_of(request))})

    @app.get("/models", **manual.route("History", answers.ModelPage, unavailable=True))
    async def list_models(request: Request, limit: Limit = 20, offset: Offset = 0) -> Response:
        """List every version ever trained, newest first, with its errors then and now and what was decided."""
        return await answer(request, lambda history: history.models(limit, offset))

    @app.get("/models/{version}", **manual.route("History", answers.ModelDetail, unavailable=True, missing=True))
    async def one_model(request: Request, version: Number) -> Response:
        """Return all that is known of a version: card, files, every comparison it took part in."""
        return await answer(request, lambda history: history.model(version))

    @app.get("/batches", **manual.route("History", answers.BatchPage, unavailable=True))
    async def list_batches(request: Request, limit: Limit = 20, offset: Offset = 0) -> Response:
        """List every batch, newest first, with what was decided on it and why."""
        return await answer(request, lambda history: history.batches(limit, offset))

    @app.get("/batches/{number}", **manual.route("History", answers.BatchDetail, unavailable=True, missing=True))
    async def one_batch(request: Request, number: Number) -> Response:
        """Return all that is known of a batch: its steps, its report, its attempts, its evidence."""
        return await answer(request, lambda history: history.batch(number))

    @app.get("/alerts", **manual.route("History", answers.AlertPage, unavailable=True))
    async def list_alerts(request: Request, limit: Limit = 20, offset: Offset = 0) -> Response:
        """List what somebody should look at, newest first."""
        return await answer(request, lambda history: history.alerts(limit, offset))
