"""The data source on one machine, an HTTP server that hands out listings in batches: `python -m local.source --port P`.

Every call of /data moves the group's counter, whatever becomes of the answer: a client that hangs up has lost a batch.
Groups are numbered from 1 to 10; each has a counter of its own, shared by all who use the group. SOURCE is `synthetic`
(six seeded batches), a folder of `batch_<n>.parquet` or `.csv` files, or the public CSV, cut by six rules.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import math
import socket
import sys
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Final

import structlog
import uvicorn
from fastapi import FastAPI, HTTPException, Query
from fastapi.responses import JSONResponse, Response
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel, ConfigDict, Field
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from local.misbehaviour import (
    WITHOUT_ROWS,
    Fault,
    Misbehaviour,
    Script,
    ScriptUnreadable,
    changed,
    read_script,
)
from local.source_answers import Encode, answer, as_lists, as_objects, as_objects_with_nan
from local.source_batches import SYNTHETIC, Batches, SourceUnusable, open_batches
from local.source_counters import GROUPS, Counters, CountersUnreadable
from local.source_delivery import Piece, delivered
from local.synthetic_market import Market

THE_END: Final = "Ya se recolectó toda la información mínima necesaria"
NO_SUCH_GROUP: Final = "Número de grupo inválido"

log = structlog.get_logger()

Group = Annotated[int, Query(description=f"one of {GROUPS.start} to {GROUPS.stop - 1}; each has its own counter")]
Day = Annotated[str | None, Query(description="given back in the answer; changes nothing else")]


class Row(BaseModel):
    """One listing as it is sent."""

    model_config = ConfigDict(extra="allow")

    brokered_by: float | None = Field(examples=[67455.0])
    status: str | None = Field(examples=["for_sale"], description="open text: for_sale, sold, …")
    price: float | None = Field(examples=[289900.0], description="dollars")
    bed: float | None = Field(examples=[3.0])
    bath: float | None = Field(examples=[2.0])
    acre_lot: float | None = Field(examples=[0.36], description="acres")
    street: float | None = Field(examples=[1698080.0])
    city: str | None = Field(examples=["Agawam"])
    state: str | None = Field(examples=["Massachusetts"])
    zip_code: float | None = Field(examples=[1001.0], description="a leading zero is lost")
    house_size: float | None = Field(examples=[1276.0], description="square feet")
    prev_sold_date: str | None = Field(examples=["2012-10-12"])


class Answer(BaseModel):
    """One batch."""

    group_number: int
    day: str | None
    batch_number: int
    data: list[Row] | list[list[float | str | None]]


class Problem(BaseModel):
    """Why there is no batch."""

    detail: str = Field(examples=[THE_END, NO_SUCH_GROUP])


class PortTaken(OSError):
    """Somebody else listens there, or the address is not this machine's."""


@dataclass(frozen=True, slots=True)
class Manners:
    """How the source speaks where real ones differ."""

    rows_as_lists: bool = False
    restart_as_list: bool = False
    end_status: int = 400  # some answer 404, or 204 without a word
    latency_seconds: float = 0.0  # until the first byte of a batch


@dataclass(frozen=True, slots=True)
class Source:
    """What a source consists of."""

    batches: Batches
    counters: Counters
    script: Script
    manners: Manners

    async def next_batch(self, group: int, day: str | None) -> Response:
        """Move the counter, then answer with the batch it stood at, as far as no misbehaviour is due."""
        wrong = self.script.strike(self.counters.position(group))
        fault = wrong.fault if wrong else None
        if fault is Fault.COUNTER_RESET:
            self.counters.restart(group)
        if fault is Fault.BATCH_TAKEN:
            self.counters.move(group)
        # Before all else, and undone by nothing: this is what makes a lost answer a lost batch.
        number = self.counters.move(group)
        log.info("asked", group=group, day=day, batch=number, fault=fault and fault.value)
        await asyncio.sleep(wrong.seconds if wrong and fault is Fault.LATE_FIRST_BYTE else self.manners.latency_seconds)
        if number == len(self.batches) and fault not in WITHOUT_ROWS:
            return _end(self.manners.end_status)
        rows = changed(fault, functools.partial(self.batches.chunks, number))
        pieces = answer(group, day, number, rows, self._encoding(fault))
        return delivered(wrong, _logged(pieces, group, number))

    def _encoding(self, fault: Fault | None) -> Encode:
        if fault is Fault.NOT_A_NUMBER:
            return as_objects_with_nan
        return as_lists if self.manners.rows_as_lists or fault is Fault.ROWS_AS_LISTS else as_objects


def create_source(source: Source, *, allow_misbehave: bool = False) -> FastAPI:
    """Return the application; with `allow_misbehave` it has a route more, which sets the script of misbehaviours."""
    # With FastAPI's own, the manual is a blank page wherever its scripts' host cannot be reached.
    app = FastAPIOffline(title="Data source", description=__doc__, version="1")

    @app.get("/health", summary="Whether the source is alive")
    async def health() -> dict[str, str]:
        return {"status": "OK"}

    @app.get("/data", summary="The next batch", responses={200: {"model": Answer}, 400: {"model": Problem}})
    async def data(group_number: Group, day: Day = None) -> Response:
        _check(group_number)
        return await source.next_batch(group_number, day)

    @app.get("/restart_data_generation", summary="Begin again at batch 0", responses={400: {"model": Problem}})
    async def restart_data_generation(group_number: Group, day: Day = None) -> dict[str, bool] | list[str]:
        _check(group_number)
        source.counters.restart(group_number)
        log.info("restarted", group=group_number, day=day)
        return ["ok"] if source.manners.restart_as_list else {"ok": True}

    if allow_misbehave:

        @app.get("/misbehave", summary="The misbehaviours that are still to come")
        async def still_to_come() -> list[Misbehaviour]:
            return source.script.left

        @app.post("/misbehave", summary="Misbehave like this from now on, instead of what was still to come")
        async def misbehave(misbehaviours: list[Misbehaviour]) -> list[Misbehaviour]:
            source.script.left = misbehaviours
            return source.script.left

    return app


def _check(group: int) -> None:
    if group not in GROUPS:
        raise HTTPException(400, NO_SUCH_GROUP)


def _end(status: int) -> Response:
    return Response(status_code=204) if status == HTTPStatus.NO_CONTENT else JSONResponse({"detail": THE_END}, status)


def _logged(pieces: Iterator[memoryview], group: int, number: int) -> Generator[Piece]:
    """Pass the pieces on and say at the end how many bytes went out, and whether that was all."""
    started = time.monotonic()
    sent = 0
    event = "answer_unfinished"
    try:
        for piece in pieces:
            yield piece
            sent += len(piece)
        event = "answered"
    finally:
        log.info(event, group=group, batch=number, bytes=sent, seconds=round(time.monotonic() - started, 3))


class _Protocol(HttpToolsProtocol):
    """Uvicorn's protocol, which shows the application its connection, so that a misbehaviour can close it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


def listen(host: str, port: int) -> socket.socket:
    """Take the port, 0 for any free one; raises PortTaken before anything else is done."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # Here and not in the server's own time: who reads the address in the log may call at once.
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise PortTaken(f"cannot listen on {host} port {port}: {error.strerror}") from error
    return listener


def serve(app: FastAPI, listener: socket.socket) -> None:
    """Answer calls until SIGTERM or SIGINT; answers under way are then cut."""
    config = uvicorn.Config(
        app, http=_Protocol, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=1
    )
    uvicorn.Server(config).run(sockets=[listener])


def main(arguments: list[str] | None = None) -> None:
    """Read the options, open the batches, serve them."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        script = Script(read_script(options.misbehave))
        batches = open_batches(options.source, scale=options.scale, seed=options.seed)
        counters = Counters(len(batches), options.state)
    except (SourceUnusable, CountersUnreadable, ScriptUnreadable, OSError) as error:
        parser.error(str(error))
    manners = Manners(options.rows_as_lists, options.restart_as_list, options.end_status, options.latency)
    app = create_source(Source(batches, counters, script, manners), allow_misbehave=options.allow_misbehave)
    try:
        listener = listen(options.host, options.port)
    except PortTaken as error:
        sys.exit(f"the data source {error}")
    structlog.configure(
        processors=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.add_log_level,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    address = f"http://{options.host}:{listener.getsockname()[1]}"
    log.info("serving", address=address, source=options.source, batches=len(batches))
    serve(app, listener)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local.source", description=__doc__)
    parser.add_argument("--port", type=port, required=True, help="0 for any free one; the log says which")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--source", default=SYNTHETIC, metavar=f"{SYNTHETIC}|FOLDER|CSV")
    parser.add_argument("--scale", type=float, default=1.0, help="of synthetic batches; 1 is about 38,000 rows in all")
    parser.add_argument("--seed", type=int, default=Market.seed, help="of synthetic batches")
    parser.add_argument("--state", type=Path, metavar="FILE", help="keep the counters there over a restart")
    parser.add_argument("--latency", type=seconds, default=0.0, metavar="SECONDS", help="until a batch's first byte")
    parser.add_argument("--rows-as-lists", action="store_true", help="send rows as lists of 12 values")
    parser.add_argument("--restart-as-list", action="store_true", help='answer a restart with ["ok"]')
    parser.add_argument("--end-status", type=int, default=400, choices=(400, 404, 204), help="how the end is told")
    parser.add_argument("--misbehave", default="[]", metavar="JSON|FILE", help="a list of misbehaviours, see /docs")
    parser.add_argument(
        "--allow-misbehave", action="store_true", help="let anyone set misbehaviours by POST /misbehave"
    )
    return parser


def port(text: str) -> int:
    """Read a port."""
    number = int(text)
    if number not in range(1 << 16):
        raise ValueError
    return number


def seconds(text: str) -> float:
    """Read a time that can be waited for."""
    number = float(text)
    if not 0 <= number < math.inf:
        raise ValueError
    return number


if __name__ == "__main__":
    main()
