"""The service as a process of its own environment, models to serve, and bodies to send it."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Self

import httpx

from local.processes import UNENCRYPTED
from steps.common import booster, bundle
from steps.common.booster import Fitted
from steps.common.bundle import Bundle
from steps.common.columns import from_listings
from tests.running import Running
from tests.servers import ROOT, Databases, free_loopback_port
from tests.steps.common.listings import HOUSE, market
from tests.steps.deployment import Deployment

TOKEN = "9f2c-only-for-tests-71d0"
POLL_SECONDS = 0.3
MARKET, PRICES, BUCKETS = market(1200)


@cache
def fitted(trees: int) -> Fitted:
    """Return a model of so many trees; another number of trees is another model."""
    parameters = {**booster.DEFAULTS, "depth": 5}
    return booster.fit(from_listings(MARKET), PRICES, BUCKETS, parameters, trees, 1, 1)


def card(trees: int) -> dict[str, Any]:
    """Return what a model says of itself."""
    return {"batches": [0], "rows": len(MARKET), "trees": trees, "trained_at": "2026-01-02T03:04:05+00:00"}


def write_model(folder: Path, trees: int) -> Bundle:
    """Write a model directory with a bundle in it, and return the bundle as it is read."""
    place = folder / bundle.FOLDER
    place.mkdir(parents=True)
    bundle.write(place, fitted(trees), MARKET[:5], card(trees))
    return bundle.load(place)


def register(deployment: Deployment, run_id: str, batch: int = 0, trees: int = 20) -> tuple[int, Bundle]:
    """Register a version of a real model for a run of its own; return it and its bundle."""
    claim = deployment.claim(run_id, batch, done="tune")
    folder = deployment.folder / f"model of {run_id}"
    made = write_model(folder, trees)
    return deployment.version(claim, folder, card(trees)), made


def environment(databases: Databases, mlflow_url: str, state: Path, **changes: str) -> dict[str, str]:
    """Return the service's variables."""
    return {
        "APPRAISER_RAW_URL": databases.url("raw", "serving"),
        "APPRAISER_LEDGER_URL": databases.url("ledger", "serving"),
        "APPRAISER_MLFLOW_URL": mlflow_url,
        "APPRAISER_STATE_FOLDER": str(state),
        "APPRAISER_TOKEN": TOKEN,
        "APPRAISER_POLL_SECONDS": str(POLL_SECONDS),
        "APPRAISER_SHIP_SECONDS": "0.2",
        **changes,
    }


@dataclass
class Service(Running):
    """A running service: its variables, where it listens, its process."""

    environment: dict[str, str]
    log: Path
    port: int = field(default_factory=free_loopback_port)
    launcher: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    def start(self, *, ready: bool = True) -> Self:
        """Start it, and wait until it is ready."""
        self.spawn()
        if ready:
            self.wait_until(lambda: self.get("/ready").status_code == 200)
        return self

    def spawn(self) -> None:
        """Start it and do not wait."""
        python = str(ROOT / ".envs" / "serving" / "bin" / "python")
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [*self.launcher, python, "-m", "serving"], stdout=output, stderr=subprocess.STDOUT, cwd=ROOT,
                env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), "APPRAISER_PORT": str(self.port),
                     **self.environment},
            )  # fmt: skip

    def get(self, path: str, **named: Any) -> httpx.Response:
        """Ask for something."""
        return httpx.get(f"{self.url}{path}", timeout=30, verify=UNENCRYPTED, **named)

    def post(self, path: str, body: Any = None, **named: Any) -> httpx.Response:
        """Send something."""
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        return httpx.post(f"{self.url}{path}", timeout=60, verify=UNENCRYPTED, **content, **named)

    def version(self) -> int | None:
        """Return the version that is served."""
        found: int | None = self.get("/health").json()["model_version"]
        return found

    def kill(self) -> None:
        """Kill it as the kernel would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@contextmanager
def running(variables: dict[str, str], folder: Path, **named: Any) -> Iterator[Service]:
    """Run the service, and end it whatever happens."""
    service = Service(variables, folder / "serving.log", **named)
    try:
        yield service.start()
    finally:
        if service.process is not None:
            service.stop()


def stored(databases: Databases) -> list[dict[str, Any]]:
    """Return every prediction in RAW."""
    with databases.connect("raw") as connection:
        cursor = connection.execute("SELECT * FROM predictions ORDER BY served_at, inference_id")
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor]


def body(**changes: Any) -> dict[str, Any]:
    """Return a listing as a caller sends it."""
    return {**HOUSE, **changes}


def bodies() -> list[dict[str, Any]]:
    """Return many different listings as a caller sends them."""
    return [json.loads(listing.model_dump_json()) for listing in MARKET[:300]]
