"""Rebuild of CLEAN: the clean step as its image runs it, batch after batch, beside pandas with a pydantic model a row.

`step s` are the step's own seconds, from reading RAW to the commit in CLEAN with digests and counts; `process s` are
those with its start, `processor s` and `peak MB` the process's alone, without PostgreSQL. The peer is measured from
reading to commit too, on one batch, and leaves the same listings.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Final

from local.postgres import SUPERUSER
from steps.common.store.ledger import Claim, Completion
from tests.bench.batches import Size, clean, deployment, described, fetched, source
from tests.bench.measuring import Ended, goal, measured
from tests.steps.deployment import Deployment

ROWS: Final = 1_084_909
BATCHES: Final = range(6)
MOST_SECONDS: Final = 30
MOST_MB: Final = 2 * 1024**3 / 1e6
_PEER_BATCH: Final = 0
_COUNTED: Final = (
    "count(*), sum(price), sum(house_size), sum(property_id), "
    "sum(hashtext(concat(status, state, city, zip_code, street, brokered_by, prev_sold_date))::bigint)"
)


def run(size: Size) -> Iterator[str]:
    """Yield the report."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("pandas", "pydantic", "sqlalchemy", "psycopg"))
    yield f"peer: read_sql, PricedListing per row, DataFrame.to_sql (tests/bench/clean_peer.py) · {versions}"
    yield described(size)
    yield f"{'batch':>5} {'':6} {'rows':>9} {'step s':>7} {'process s':>10} {'processor s':>12} {'peak MB':>8}"
    every: list[tuple[Ended, Completion]] = []
    with deployment() as deployed, source(size, BATCHES, ROWS) as running:
        for claim in fetched(deployed, running):
            ended, done = clean(deployed, claim)
            every.append((ended, done))
            yield _line(str(claim.batch_number), "clean", done.summary["rows"], done.seconds, ended)
            if claim.batch_number == _PEER_BATCH:
                yield from _peer(deployed, claim, done)
    yield from _totals(every)


def _line(batch: str, name: str, rows: int, seconds: float, ended: Ended) -> str:
    used = f"{ended.seconds:>10.2f} {ended.processor_seconds:>12.2f} {ended.peak_mb:>8.0f}"
    return f"{batch:>5} {name:6} {rows:>9,} {seconds:>7.2f} {used}"


def _totals(every: list[tuple[Ended, Completion]]) -> Iterator[str]:
    seconds, peak = sum(ended.seconds for ended, _ in every), max(ended.peak_mb for ended, _ in every)
    rows, own = (sum(found) for found in zip(*((done.summary["rows"], done.seconds) for _, done in every), strict=True))
    processor = sum(ended.processor_seconds for ended, _ in every)
    yield _line("all", "clean", rows, own, Ended(0, "", seconds, peak, processor))
    within = f"{MOST_SECONDS} s for {ROWS:,} rows"
    yield f"steps {own:.1f} s · {goal(within, met=own <= MOST_SECONDS)}"
    yield f"processes with their start {seconds:.1f} s · {goal(within, met=seconds <= MOST_SECONDS)}"
    yield f"peak {peak:.0f} MB · {goal(f'{MOST_MB:.0f} MB', met=peak <= MOST_MB)}"


def _peer(deployed: Deployment, claim: Claim, done: Completion) -> Iterator[str]:
    databases, batch = deployed.databases, str(claim.batch_number)
    urls = [databases.url(name, SUPERUSER) for name in ("raw", "clean")]
    ended = measured([sys.executable, "-m", "tests.bench.clean_peer", *urls, claim.source_id, batch], {})
    said = json.loads(ended.printed)
    assert said["refused"] == done.summary["refused"], "the two refused different rows"
    assert _listings(deployed, "peer") == _listings(deployed, "listings"), "the two left different listings"
    yield _line(batch, "peer", done.summary["rows"], said["seconds"], ended)
    yield f"{'':5} {said['seconds'] / done.seconds:.1f} times the peer's speed, same listings and refusals"


def _listings(deployed: Deployment, table: str) -> object:
    with deployed.databases.connect("clean", SUPERUSER) as connection:
        return connection.execute(f"SELECT {_COUNTED} FROM {table}").fetchone()  # noqa: S608  # our own two names
