"""Source answer to committed rows: the fetch step as its image runs it, beside `json.loads` and `DataFrame.to_sql`.

Both are processes of their own and are measured from the request to the commit, without their start; both take the
same answer from the same server, in turns, and the rows they leave are compared. fetch does more: it keeps the values
as received, by number and row, checks keys and types of each row, and computes the sha of the content.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from local.postgres import SUPERUSER, Server
from tests.bench.answers import answering
from tests.bench.batches import Size
from tests.bench.database import postgres
from tests.bench.measuring import goal, measured, program
from tests.servers import ROOT

SIZES: Final = (100_000, 361_457)
ROUNDS: Final = 3
LEAST_TIMES: Final = 10
MOST_MB: Final = 200
_COUNTED: Final = (
    "count(*), sum(price::float8), sum(house_size::float8), sum(hashtext(city || state || status)::bigint)"
)


@dataclass(frozen=True)
class Measured:
    """One process: seconds from request to commit, its memory at the most in MB, all its processor time in seconds."""

    seconds: float
    peak_mb: float
    processor_seconds: float


def run(size: Size) -> Iterator[str]:
    """Yield the report."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("pandas", "sqlalchemy", "psycopg"))
    yield f"peer: httpx.get, json.loads, DataFrame.to_sql (tests/bench/fetch_peer.py) · {versions}"
    yield f"{'rows':>9} {'MB':>6} {'':8} {'s':>7} {'ratio':>7} {'peak MB':>8} {'processor s':>12}   median of {ROUNDS}"
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, postgres() as server:
        for rows in (size.rows,) if size.rows else SIZES:
            path = Path(folder) / f"{rows}.json"
            subprocess.run([sys.executable, "-m", "tests.bench.answers", path, str(rows)], cwd=ROOT, check=True)
            with answering(path) as source:
                yield from _compared(server, source, rows, path.stat().st_size / 1e6)


def _compared(server: Server, source: str, rows: int, size: float) -> Iterator[str]:
    ours, peer = [], []
    for _ in range(ROUNDS):
        _empty(server)
        _written_out(server)
        peer.append(_peer(server, source))
        _written_out(server)
        ours.append(_fetch(server, source))
        assert _rows(server, "peer") == _rows(server, "listings"), "the two left different rows"
    theirs, mine = (statistics.median(one.seconds for one in several) for several in (peer, ours))
    for name, several, ratio in (("peer", peer, 1.0), ("fetch", ours, theirs / mine)):
        seconds, peak, processor = (
            statistics.median(getattr(one, field) for one in several) for field in Measured.__dataclass_fields__
        )
        yield f"{rows:>9,} {size:>6.1f} {name:8} {seconds:>7.2f} {ratio:>6.1f}x {peak:>8.0f} {processor:>12.2f}"
    most = max(one.peak_mb for one in ours)
    times = theirs / mine
    yield f"{'':9} {times:.1f} times the speed · {goal(f'{LEAST_TIMES} times', met=times >= LEAST_TIMES)}"
    yield f"{'':9} peak {most:.0f} MB · {goal(f'{MOST_MB} MB for 103 MB', met=most <= MOST_MB)}"


def _fetch(server: Server, source: str) -> Measured:
    settings = {
        "RAW_URL": server.url("pipeline", "raw"), "LEDGER_URL": server.url("pipeline", "ledger"),
        "SOURCE_URL": source, "SOURCE_ID": "bench",
    }  # fmt: skip
    ended = measured(
        [program("fetch"), "-m", "steps.fetch", "--run-id", "bench"],
        {f"APPRAISER_{name}": value for name, value in settings.items()},
    )
    sent, stored = (
        dt.datetime.fromisoformat(re.findall(rf"timestamp=(\S+) .*boundary={boundary} ", ended.printed)[0])
        for boundary in ("request_sent", "batch_stored")
    )
    return Measured((stored - sent).total_seconds(), ended.peak_mb, ended.processor_seconds)


def _peer(server: Server, source: str) -> Measured:
    command = [sys.executable, "-m", "tests.bench.fetch_peer", source, server.url(SUPERUSER, "raw")]
    ended = measured(command, {})
    return Measured(json.loads(ended.printed)["seconds"], ended.peak_mb, ended.processor_seconds)


def _empty(server: Server) -> None:
    with server.connect(SUPERUSER, "raw") as connection:
        connection.execute("DROP TABLE IF EXISTS peer")
        connection.execute("TRUNCATE batches, listings, fetch_attempts")
    with server.connect(SUPERUSER, "ledger") as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("TRUNCATE sources, runs, idle_runs, claims, completions, outcomes, alerts CASCADE")


def _written_out(server: Server) -> None:
    """Leave nothing for the server to write beside the next of the two: the other's rows cost it a tenth."""
    with server.connect(SUPERUSER, "raw") as connection:
        connection.execute("CHECKPOINT")


def _rows(server: Server, table: str) -> tuple[object, ...]:
    with server.connect(SUPERUSER, "raw") as connection:
        found = connection.execute(f"SELECT {_COUNTED} FROM {table}").fetchone()  # noqa: S608  # our own two names
    assert found is not None
    return tuple(found)
