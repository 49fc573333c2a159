"""Validation of a batch against all batches before: the validate step as its image runs it, beside pandas and numpy.

Nothing is in production, so neither a champion nor the probe is part of it; MLflow is asked which version is, and told
the verdict, as always. `step s` are the step's own seconds with all that, `process s` those with its start. The peer
finds the same refusals and the same PSI of the numeric columns; everything else is validate's alone.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any, Final

from local.postgres import SUPERUSER
from steps.common.listing import NUMERIC_FIELDS
from steps.common.store import ledger
from steps.common.store.ledger import Claim
from tests.bench.batches import Size, clean_before, deployment, described, source, step
from tests.bench.measuring import Ended, goal, measured
from tests.steps.deployment import Deployment

ROWS: Final = 300_000
BATCH: Final = 4
MOST_SECONDS: Final = 5
_ALIKE: Final = 1e-6


def run(size: Size) -> Iterator[str]:
    """Yield the report."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("pandas", "numpy", "pydantic", "sqlalchemy", "psycopg"))
    yield f"peer: read_sql, parse row by row, PSI in numpy (tests/bench/validate_peer.py) · {versions}"
    with deployment(with_mlflow=True) as deployed, source(size, range(BATCH, BATCH + 1), ROWS) as running:
        claim = clean_before(deployed, running, BATCH)
        peer = _peer(deployed, claim)
        ended, done = step(deployed, claim, "validate")
        report = _report(deployed, claim)
    said = json.loads(peer.printed)
    assert said["refused"] == report["counts"]["refused"], "the two refused different rows"
    for name in NUMERIC_FIELDS:
        assert math.isclose(said["psi"][name], report["drift"][name]["psi"], rel_tol=_ALIKE), f"PSI of {name} differs"
    rows = report["counts"]["rows"]
    yield f"{described(size)} · batch {BATCH}, {rows:,} rows, against {report['counts']['rows_before']:,} listings"
    yield f"{'':8} {'step s':>7} {'process s':>10} {'processor s':>12} {'peak MB':>8}"
    yield _line("peer", said["seconds"], peer)
    yield _line("validate", done.seconds, ended)
    alike = ", ".join(f"{name} {value:.3f}" for name, value in said["psi"].items())
    yield f"the same {said['refused']:,} refused, the same PSI: {alike}"
    yield f"{said['seconds'] / done.seconds:.1f} times the peer's speed"
    within = f"{MOST_SECONDS} s for {ROWS:,} rows"
    yield f"step {done.seconds:.1f} s · {goal(within, met=done.seconds <= MOST_SECONDS)}"
    yield f"process with its start {ended.seconds:.1f} s · {goal(within, met=ended.seconds <= MOST_SECONDS)}"


def _line(name: str, seconds: float, ended: Ended) -> str:
    return f"{name:8} {seconds:>7.2f} {ended.seconds:>10.2f} {ended.processor_seconds:>12.2f} {ended.peak_mb:>8.0f}"


def _peer(deployed: Deployment, claim: Claim) -> Ended:
    urls = [deployed.databases.url(name, SUPERUSER) for name in ("raw", "clean")]
    command = [sys.executable, "-m", "tests.bench.validate_peer", *urls, claim.source_id, str(claim.batch_number)]
    return measured(command, {})


def _report(deployed: Deployment, claim: Claim) -> Any:
    with deployed.ledger.connect() as connection:
        judged = ledger.verdict(connection, claim.claim_id, "validate")
    assert judged is not None
    return judged.report
