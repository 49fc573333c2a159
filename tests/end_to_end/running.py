"""A whole system under test: `make run`'s own program on a small source, with ports and state of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import psycopg

from local.airflow_client import RUN_ENDED, AirflowClient
from local.credentials import Credentials
from local.settings import Ports
from local.synthetic_market import Market, draw_listings
from steps.common.listing import SOURCE_FIELDS
from tests.faults.market import write_source
from tests.servers import ROOT, free_ports, port_options

PATIENCE_SECONDS = 900
_REFUSED_SECONDS = 120
_END_SECONDS = 60


def write_redraws(folder: Path, *rows: int) -> Path:
    """Write batches from 1 on that are independent redraws of one market: nothing changes but the houses listed."""
    streams = [np.random.default_rng([7, number]) for number in range(len(rows))]
    drawn = (draw_listings(Market(), stream, count) for stream, count in zip(streams, rows, strict=True))
    return write_source(folder, *drawn, first=1)


def write_nonsense(folder: Path, rows: int) -> Path:
    """Write a batch 0 without a price: validate ends it with QUARANTINE, a red task and a verdict all the same."""
    folder.mkdir(exist_ok=True)
    lines = [f"1.0,for_sale,unknown,3,2,0.1,{row},Agawam,Massachusetts,1001,1200,2020-01-01" for row in range(rows)]
    (folder / "batch_0.csv").write_text("\n".join([",".join(SOURCE_FIELDS), *lines]) + "\n")
    return folder


@dataclass
class System:
    """A system started in a process group of its own; its output is in `log`."""

    home: Path
    source: Path
    ports: Ports
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    def of(cls, folder: Path, source: Path) -> "System":
        """Choose free ports."""
        return cls(folder / "home", source, free_ports())

    @property
    def log(self) -> Path:
        """Return the file the system prints to."""
        return self.home.with_suffix(".log")

    def start(self, *options: str) -> None:
        """Start it, as `make run` does."""
        ports = port_options(self.ports)
        argv = [sys.executable, "-m", "local.stack", f"--source={self.source}", f"--state-folder={self.home}"]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [*argv, *ports, *options],
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip

    def wait_for(self, sentence: str) -> None:
        """Wait until the system has printed a sentence."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while sentence not in self.log.read_text():
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()[-4000:]
            assert time.monotonic() < deadline, self.log.read_text()[-4000:]
            time.sleep(0.5)

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Ask it to stop and return its exit status."""
        assert self.process is not None
        os.kill(self.process.pid, number)
        return self.process.wait(120)

    @property
    def state(self) -> Path:
        """Return the one folder of state below home."""
        return next(path for path in self.home.iterdir() if path.is_dir())

    def summary(self) -> dict[str, Any]:
        """Return what summary.json says."""
        found: dict[str, Any] = json.loads((self.home / "summary.json").read_text())
        return found

    def query(self, database: str, statement: str) -> list[tuple[Any, ...]]:
        """Return what a database answers to a superuser."""
        password = Credentials(self.state / "credentials").read("postgres-postgres")
        with psycopg.connect(
            host="127.0.0.1", port=self.ports.postgres, user="postgres", password=password, dbname=database
        ) as connection:
            return connection.execute(statement.encode()).fetchall()

    def kubectl(self, *arguments: str) -> str:
        """Return what kubectl prints about the pods."""
        command = ["kubectl", f"--kubeconfig={self.state / 'pods' / 'kubeconfig'}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout

    def airflow(self) -> AirflowClient:
        """Return a client of its Airflow."""
        return AirflowClient(f"http://127.0.0.1:{self.ports.airflow}")

    def follow(self, client: AirflowClient, run: str) -> dict[str, str | None]:
        """Wait until a run has ended and return the state of each step."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while client.state(run) not in RUN_ENDED:
            assert time.monotonic() < deadline
            time.sleep(1)
        return {task.step: task.state for task in client.tasks(run)}


def refused(*options: str) -> str:
    """Start a system that will not come up, and return what it said when it had given up."""
    ended = subprocess.run(
        [sys.executable, "-m", "local.stack", *options],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=_REFUSED_SECONDS,
    )  # fmt: skip
    assert ended.returncode == 1, ended.stdout
    assert ended.stderr == ""
    return ended.stdout


def below(process: subprocess.Popen[bytes] | None) -> list[psutil.Process]:
    """Return all processes that descend from one."""
    assert process is not None
    return psutil.Process(process.pid).children(recursive=True)


def assert_ended(processes: Sequence[psutil.Process]) -> None:
    """Wait until none of these does anything any more; what its new parent has yet to collect does not."""
    deadline = time.monotonic() + _END_SECONDS
    while left := [process for process in processes if _alive(process)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def _alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def left_running(folder: Path) -> Sequence[str]:
    """Return the command lines of processes that work on a folder."""
    return [
        " ".join(line)
        for process in psutil.process_iter(["cmdline"])
        if (line := process.info["cmdline"]) and any(str(folder) in part for part in line)
    ]
