"""A deployment to measure in: batches of a real source server, put into RAW by fetch and into CLEAN by clean.

Of what is not measured only the rows in the ledger are made, by the functions the steps use.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

from local.mlflow_server import MlflowServer
from local.source_batches import SYNTHETIC
from local.synthetic import FOR_SALE_ROWS, ROWS, SOLD_ROWS
from steps.common.step import DONE, NOTHING_TO_DO
from steps.common.store import ledger
from steps.common.store.ledger import Claim, Completion
from tests.bench.database import postgres
from tests.bench.measuring import Ended, measured, program
from tests.local.source_server import RunningSource, running_source
from tests.servers import Databases, free_loopback_port
from tests.steps.batches import finish
from tests.steps.deployment import Deployment
from tests.tracking import PROGRAMS, serving

# A million rows are drawn before the source listens.
_START_SECONDS: Final = 900
_DATABASES: Final = ("raw", "clean", "ledger", "optuna")


@dataclass(frozen=True)
class Size:
    """What to run on: a folder of `batch_<n>.parquet`, else synthetic batches; so many rows, None for the full size."""

    folder: str | None = None
    rows: int | None = None


def synthetic_rows(batches: range) -> int:
    """Return how many rows some of the synthetic batches have together at scale 1; 0 and 1 cannot be told apart."""
    return FOR_SALE_ROWS * (0 in batches) + SOLD_ROWS * (2 in batches) + sum(ROWS.get(number, 0) for number in batches)


@contextmanager
def source(size: Size, batches: range, rows: int) -> Iterator[RunningSource]:
    """Run the source; of a synthetic one these batches together have so many rows, or as many as the size says."""
    if size.folder:
        options = ["--source", size.folder]
    else:
        options = ["--source", SYNTHETIC, "--scale", repr((size.rows or rows) / synthetic_rows(batches))]
    with running_source(*options, start_seconds=_START_SECONDS) as running:
        yield running


def described(size: Size) -> str:
    """Return which batches a report is about."""
    return f"batches of {size.folder}" if size.folder else "synthetic batches"


@contextmanager
def deployment(*, with_mlflow: bool = False) -> Iterator[Deployment]:
    """Run an empty PostgreSQL and, for steps that ask it, MLflow; all of it is gone afterwards."""
    with ExitStack() as stack:
        server = stack.enter_context(postgres())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        if with_mlflow:
            mlflow = stack.enter_context(serving(folder, server, "mlflow"))
        else:
            mlflow = MlflowServer(folder, free_loopback_port(), PROGRAMS, server.url("mlflow", "mlflow", "psycopg2"))
        made = Deployment(Databases(server, {name: name for name in _DATABASES}), mlflow, folder)
        stack.callback(made.close)
        yield made


def fetched(deployed: Deployment, running: RunningSource) -> Iterator[Claim]:
    """Yield one run after the other that has come as far as fetch, until the source is at its end.

    A run is ended as undecided when the next one is asked for, so that its batch counts among those before.
    """
    for number in count():
        run = f"bench {number}"
        settings = {**deployed.environment, "APPRAISER_SOURCE_URL": running.url}
        command = [program("fetch"), "-m", "steps.fetch", "--run-id", run]
        if measured(command, settings, (DONE, NOTHING_TO_DO)).exit_code == NOTHING_TO_DO:
            return
        with deployed.ledger.connect() as connection:
            claim = ledger.claim_of_run(connection, run)
        assert claim is not None
        yield claim
        finish(deployed, claim, "HOLD")


def step(deployed: Deployment, claim: Claim, name: str) -> tuple[Ended, Completion]:
    """Run a step in its image's environment; return what its process used, and its completion row."""
    ended = measured([program(name), "-m", f"steps.{name}", "--run-id", claim.run_id], deployed.environment)
    with deployed.ledger.connect() as connection:
        done = ledger.completion(connection, claim.claim_id, name)
    assert done is not None
    return ended, done


def clean(deployed: Deployment, claim: Claim) -> tuple[Ended, Completion]:
    """Run clean on a batch that nobody has judged."""
    deployed.complete(claim, "validate")
    return step(deployed, claim, "clean")


def clean_before(deployed: Deployment, running: RunningSource, last: int) -> Claim:
    """Bring all batches before `last` into CLEAN, and return a claim on that one, which is in RAW."""
    for claim in fetched(deployed, running):
        if claim.batch_number == last:
            return claim
        clean(deployed, claim)
    raise RuntimeError(f"the source has no batch {last}")
