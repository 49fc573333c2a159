"""One price, 1,000 prices and an explanation by this service, beside the peers one would use instead of it.

Every server gets one core, the caller (wrk) another, bodies are many different listings, and all prices are compared
first. Of the service there are three: as it is, without its log of predictions, and with an INSERT for each request.
A FastAPI that answers nothing says what any service made with it could reach.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import httpx
import psutil

from local.postgres import Server
from tests.bench import serving_explain
from tests.bench.batches import Size
from tests.bench.database import postgres
from tests.bench.serving_model import BUNDLE, VERSION, listings, write_model
from tests.servers import ROOT, free_loopback_port

_SECONDS: Final = 5
_CONNECTIONS: Final = 8
_MANY_CONNECTIONS: Final = 64
_BATCH: Final = 1000
# At a few connections what is stored waits for the disk; at many, one sync serves them all.
_ASKED: Final = ((1, 1), (1, _CONNECTIONS), (1, _MANY_CONNECTIONS), (_BATCH, 1))
_READY_SECONDS: Final = 120
_PYTHON: Final = str(ROOT / ".envs" / "serving" / "bin" / "python")
_MLFLOW: Final = str(ROOT / ".envs" / "dev" / "bin" / "mlflow")
# The goals, of design: times mlflow, times bare, milliseconds, milliseconds, share of the throughput without the log.
_GOALS: Final = "goals: ≥ 50x mlflow, ≥ 1/5 bare, p99 ≤ 25 ms at 8 connections, 1,000 rows ≤ 9 ms, log ≥ 80 %"


@dataclass(frozen=True)
class Peer:
    """A server to measure: how it is started on a port, and where and how it is asked."""

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    ready: str
    one: str
    many: str
    mlflow: bool = False
    prices: bool = True

    def bodies(self, some: list[dict[str, Any]], rows: int) -> list[str]:
        """Return bodies of so many listings each."""
        if rows == 1 and not self.mlflow:
            return [json.dumps(one) for one in some]
        parts = [some[at : at + rows] for at in range(0, len(some) - rows + 1, rows)]
        return [json.dumps({"dataframe_records" if self.mlflow else "listings": part}) for part in parts]


def run(size: Size) -> Iterator[str]:
    """Yield the report."""
    del size  # the bodies sent are few
    if shutil.which("wrk") is None:
        yield "wrk is not on this machine (`apt-get install wrk`), so nothing is measured"
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as name, postgres() as server:
        folder = Path(name)
        write_model(folder / "model")
        some = listings(5000)
        yield f"peer: mlflow {version('mlflow')} models serve --env-manager local, of the same model directory"
        yield f"{'':14}  rows conns    req/s   p50 ms   p99 ms  ready s     MB  failed"
        rates: dict[str, float] = {}
        for peer in _peers(folder, server):
            with _serving(peer, folder) as (port, seconds, process):
                if peer.prices:
                    _check(peer, port, some, folder)
                for rows, connections in _ASKED:
                    path = folder / "bodies"
                    path.write_text("".join(f"{body}\n" for body in peer.bodies(some, rows)))
                    found = _ask(f"http://127.0.0.1:{port}{peer.one if rows == 1 else peer.many}", path, connections)
                    megabytes = sum(one.memory_info().rss for one in _family(process)) / 1e6
                    yield (
                        f"{peer.name:14}{rows:>6,}{connections:>6}{found['rps']:>9,.0f}{found['p50']:>9.2f}"
                        f"{found['p99']:>9.2f}{seconds:>9.1f}{megabytes:>7.0f}{found['failed']:>8}"
                    )
                    rates[f"{peer.name} {rows} {connections}"] = found["rps"]
        yield from _ratios(rates)
        yield from serving_explain.run(folder / "model" / BUNDLE, some)


def _peers(folder: Path, server: Server) -> list[Peer]:
    settings = {
        "RAW_URL": server.url("serving", "raw"), "LEDGER_URL": server.url("serving", "ledger"), "LOCAL": "true",
        # Nobody is there: the copy on disk serves, which is the same model.
        "MLFLOW_URL": f"http://127.0.0.1:{free_loopback_port()}", "POLL_SECONDS": "3600",
    }  # fmt: skip

    def service(name: str, *module: str) -> Peer:
        state = folder / f"state of {name}"
        shutil.copytree(folder / "model", state / "models" / str(VERSION))
        shutil.copy(folder / "champion.json", state / "models")
        variables = {f"APPRAISER_{key}": value for key, value in {**settings, "STATE_FOLDER": str(state)}.items()}
        return Peer(name, [_PYTHON, "-m", *module], variables, "/ready", "/predict", "/predict-batch")

    bare = [_PYTHON, "-m", "tests.bench.serving_bare", str(folder / "model" / BUNDLE), "{port}"]
    mlflow = [
        _MLFLOW, "models", "serve", "--model-uri", str(folder / "model"), "--env-manager", "local", "--host",
        "127.0.0.1", "--port", "{port}",
    ]  # fmt: skip
    return [
        service("service", "serving"),
        service("without log", "tests.bench.serving_log", "none"),
        service("INSERT each", "tests.bench.serving_log", "insert"),
        Peer("bare ASGI", bare, {}, "", "/", "/"),
        Peer("empty FastAPI", [_PYTHON, "-m", "tests.bench.serving_empty", "{port}"], {}, "", "/", "/", prices=False),
        Peer(
            "mlflow", mlflow, {"MLFLOW_DISABLE_TELEMETRY": "true"}, "/ping", "/invocations", "/invocations", mlflow=True
        ),
    ]


@contextmanager
def _serving(peer: Peer, folder: Path) -> Iterator[tuple[int, float, psutil.Process]]:
    """Run a server on one core; yield its port, the seconds until it was ready, its process."""
    port, began = free_loopback_port(), time.monotonic()
    environment = {
        "PATH": os.pathsep.join([str(Path(_MLFLOW).parent), os.defpath]), "PYTHONPATH": str(ROOT),
        "HOME": str(folder), "APPRAISER_PORT": str(port), **peer.environment,
    }  # fmt: skip
    with (folder / f"{peer.name}.log").open("wb") as log:
        process = psutil.Popen(
            [part.replace("{port}", str(port)) for part in peer.command], env=environment, cwd=ROOT, stdout=log,
            stderr=log,
        )  # fmt: skip
    process.cpu_affinity([_cores()[0]])
    try:
        while not _answers(f"http://127.0.0.1:{port}{peer.ready}", peer):
            assert process.poll() is None, (folder / f"{peer.name}.log").read_text()[-2000:]
            assert time.monotonic() - began < _READY_SECONDS
            time.sleep(0.02)
        yield port, time.monotonic() - began, process
    finally:
        for one in _family(process):
            one.terminate()
        psutil.wait_procs(_family(process), timeout=20)


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _answers(url: str, peer: Peer) -> bool:
    try:
        answer = httpx.get(url, timeout=2) if peer.ready else httpx.post(url, json=listings(1)[0], timeout=2)
    except httpx.TransportError:
        return False
    return answer.is_success


def _check(peer: Peer, port: int, some: list[dict[str, Any]], folder: Path) -> None:
    """Refuse to compare servers that do not say the same."""
    from steps.common import bundle
    from steps.common.listing import Listing

    model = bundle.load(folder / "model" / BUNDLE)
    wanted = model.prices([Listing.model_validate(one) for one in some[:100]]).tolist()
    body = peer.bodies(some[:100], 100)[0]
    headers = {"Content-Type": "application/json"}
    found = httpx.post(f"http://127.0.0.1:{port}{peer.many}", content=body, headers=headers, timeout=60).json()
    rows = found.get("predictions") or found.get("results") or [{"price": price} for price in found["price"]]
    assert [row["price"] for row in rows] == wanted, f"{peer.name} gives other prices"


def _ask(url: str, bodies: Path, connections: int) -> dict[str, float]:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{_SECONDS}s", "--timeout", "30s", "-s",
               str(Path(__file__).with_name("bodies.lua")), url, "--", str(bodies)]  # fmt: skip
    taskset = ["taskset", "-c", str(_cores()[-1])]
    done = subprocess.run([*taskset, *command], capture_output=True, text=True, check=True, timeout=120)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _ratios(rates: dict[str, float]) -> Iterator[str]:
    yield _GOALS
    yield f"{'service /':14}" + "".join(f"{f'{rows:,} rows, {calls} calls':>20}" for rows, calls in _ASKED)
    for name in ("mlflow", "bare ASGI", "empty FastAPI", "without log", "INSERT each"):
        ratios = [rates[f"service {rows} {calls}"] / rates[f"{name} {rows} {calls}"] for rows, calls in _ASKED]
        yield f"{name:14}" + "".join(f"{ratio:19.2f}x" for ratio in ratios)
