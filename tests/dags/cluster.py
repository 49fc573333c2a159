"""A real Airflow, its pods led by the real pod runner, and steps that do as they are told."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from typing import Any

from kubernetes import client, config

from local.airflow import NAMESPACE, Airflow, image_of
from local.airflow_client import RUN_ENDED, TASK_ENDED, AirflowClient, Task
from local.credentials import Credentials
from local.postgres import Server
from local.processes import Command, Processes
from steps.common.step import ORDER
from tests.servers import ROOT, free_loopback_port

# Only what keeps a broken test from waiting for ever.
_PATIENCE_SECONDS = 300
_SCENARIOS = Path(__file__).with_name("scenarios")
# The DAGs of scenarios.py, with their two steps.
_STEPS = {
    "plain": ("fetch", "validate"),
    "deferred": ("tune", "train"),
    "patient": ("evaluate", "promote"),
    "kept": ("clean", "validate"),
}

# The program of every image. Its last argument says what to do: `leave:CODE` at once; `once:CODE`, then 0; `wait` for a
# file with the exit code, and end well when told to stop, as a step may that has just committed; `shout` as `wait`, but
# printing all the while. Each start is noted.
_PROGRAM = """
import pathlib, signal, sys, time

step, run, word = pathlib.Path(__file__).parent.name, sys.argv[2], sys.argv[-1]
told = pathlib.Path(__file__).parents[2] / "told"
with (told / f"{run}.{step}.starts").open("a") as starts:
    starts.write("x")
print(f"{step} was told {word}", flush=True)
what, _, code = word.partition(":")
if what in ("wait", "shout"):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    answer = told / f"{run}.{step}.code"
    while not answer.exists():
        if what == "shout":
            print("still here\\n" * 200)
        time.sleep(0.02)
    code = answer.read_text()
    answer.unlink()
if what == "once" and (told / f"{run}.{step}.starts").read_text() != "x":
    code = "0"
if step == "tune":
    # Long enough to be deferred, and to be seen running by the triggerer of a busy machine.
    time.sleep(8)
print("these are the last words", flush=True)
sys.exit(int(code))
"""


@dataclass(frozen=True)
class Scenario:
    """One DAG of two steps, and what a test may do to its runs and see of them."""

    airflow: AirflowClient
    step: str
    behind: str
    kubeconfig: Path
    told: Path

    def start(self, what: str) -> str:
        """Start a run whose first step does what the word says."""
        return self.airflow.trigger(do=what)

    def start_waiting(self, how: str = "wait") -> str:
        """Start a run, and return when the program of its first step waits to be told, or shouts."""
        run = self.start(how)
        self.await_starts(run, 1)
        return run

    def task(self, run: str, step: str = "") -> Task:
        """Return a task of a run, the first one if no step is named."""
        return next(task for task in self.airflow.tasks(run) if task.step == (step or self.step))

    def await_run(self, run: str) -> None:
        """Wait until a run has ended."""
        wait_until(lambda: self.airflow.state(run) in RUN_ENDED, f"{run} has ended")

    def await_task(self, run: str) -> Task:
        """Wait until the first task of a run will not be tried again, and return it."""
        wait_until(lambda: self.task(run).state in TASK_ENDED, f"{self.step} of {run} has ended")
        return self.task(run)

    def await_try(self, run: str, number: int) -> None:
        """Wait until the first task of a run is in that try."""
        wait_until(lambda: self.task(run).tries == number, f"{self.step} of {run} is in try {number}")

    def starts(self, run: str) -> int:
        """Return how often the program of the first step was started."""
        noted = self.told / f"{run}.{self.step}.starts"
        return len(noted.read_text()) if noted.exists() else 0

    def await_starts(self, run: str, count: int) -> None:
        """Wait until the program of the first step was started so often."""
        wait_until(lambda: self.starts(run) >= count, f"{self.step} of {run} was started {count} times")

    def tell(self, run: str, code: int) -> None:
        """Have the waiting program leave with an exit code."""
        draft = self.told / f"{run}.{self.step}.draft"
        draft.write_text(str(code))
        draft.rename(self.told / f"{run}.{self.step}.code")

    def signal(self, run: str, number: Signals) -> None:
        """Send a signal to the process of the first task."""
        pid = self.task(run).pid
        assert pid is not None
        os.kill(pid, number)

    def last_log(self, run: str) -> str:
        """Return the log of the first task's last try."""
        return self.airflow.log(run, self.step, self.task(run).tries)

    @property
    def api(self) -> client.CoreV1Api:
        """A client of the cluster, as Airflow makes it."""
        configuration = client.Configuration()
        config.load_kube_config(str(self.kubeconfig), client_configuration=configuration)
        return client.CoreV1Api(client.ApiClient(configuration))

    def pods(self, run: str) -> list[Any]:
        """Return the pods of the first task in the order of its tries."""
        from airflow.providers.cncf.kubernetes.pod_generator import make_safe_label_value

        labels = f"app=appraiser,step={self.step},run_id={make_safe_label_value(run)}"
        found = self.api.list_namespaced_pod(NAMESPACE, label_selector=labels).items
        return sorted(found, key=lambda pod: int(pod.metadata.labels["try_number"]))


@contextmanager
def started(folder: Path, server: Server) -> Iterator[dict[str, Scenario]]:
    """Start pod runner and Airflow below a folder, on a database server; stop both in the end."""
    processes = Processes(folder / "logs")
    kubeconfig = write_pods_world(folder, _PROGRAM)
    airflow = Airflow(
        folder / "airflow", free_loopback_port(), ROOT / ".envs" / "airflow" / "bin", _SCENARIOS,
        server.url("airflow", "airflow", "psycopg2"), kubeconfig, Credentials(folder / "secrets"),
        {"CORE__PARALLELISM": "4"},
    )  # fmt: skip
    with ExitStack() as stack:
        stack.callback(processes.stop_all)
        start_pods(processes, folder)
        airflow.migrate(processes)
        airflow.start(processes)
        clients = {dag: stack.enter_context(airflow.client(dag)) for dag in _STEPS}
        processes.serve(airflow.probes(clients["kept"]), _PATIENCE_SECONDS)
        told = folder / "image" / "told"
        yield {dag: Scenario(clients[dag], *steps, kubeconfig, told) for dag, steps in _STEPS.items()}


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Wait until something holds; fail, naming it, where that takes minutes."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {_PATIENCE_SECONDS} s: {what}")
        time.sleep(0.3)


def start_pods(processes: Processes, folder: Path) -> None:
    """Start a pod runner for the images below a folder."""
    options = ["--port", "0", "--root", str(folder / "pods"), "--images", str(folder / "images.json")]
    argv = [sys.executable, "-m", "local.pod_runner", *options]
    processes.start(Command("pods", argv, {"PATH": os.defpath, "PYTHONPATH": str(ROOT)}, folder, stop_order=2))


def write_pods_world(folder: Path, program: str) -> Path:
    """Write images that all run one program, and what pods refer to; return where the kubeconfig will be."""
    pods, image = folder / "pods", folder / "image"
    (image / "told").mkdir(parents=True)
    for step in ORDER:
        code = image / "steps" / step
        code.mkdir(parents=True)
        (code / "__main__.py").write_text(program)
    entry = {"python": sys.executable, "root": str(image)}
    (folder / "images.json").write_text(json.dumps({image_of(step): entry for step in ORDER}))
    (pods / "configmaps" / "appraiser").mkdir(parents=True)
    (pods / "secrets" / "appraiser-databases").mkdir(parents=True)
    for database in ("raw", "clean", "ledger", "optuna"):
        (pods / "secrets" / "appraiser-databases" / f"{database}-url").write_text("postgresql+psycopg://nowhere")
    return pods / "kubeconfig"
