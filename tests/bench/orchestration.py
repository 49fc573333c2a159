"""How long a run of the DAG takes beyond its pods' own time, beside the operator and Airflow with their defaults.

Both are the same seven pods, which sleep for two seconds, in a real Airflow on a real PostgreSQL, one after the other.
The peer is tests/bench/peer/peer.py: the same chain of KubernetesPodOperators, with nothing set but what they run.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg import sql

from local.airflow import Airflow
from local.airflow_client import RUN_ENDED, AirflowClient
from local.credentials import Credentials
from local.postgres import SUPERUSER, Server
from local.processes import Processes
from steps.common.step import ORDER
from tests.bench.batches import Size
from tests.bench.measuring import goal
from tests.dags.cluster import start_pods, write_pods_world
from tests.servers import ROOT, free_loopback_port

MOST_SECONDS = 25
LEAST_TIMES = 2
_RUNS = 3
_START_SECONDS = 300
_FASTER = {
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL",
    "AIRFLOW_CONN_KUBERNETES_DEFAULT",
}

# Each pod notes when its program began and ended: what lies outside is orchestration.
_PROGRAM = """
import pathlib, sys, time

began = time.time()
time.sleep(2)
step, run = pathlib.Path(__file__).parent.name, sys.argv[2]
note = pathlib.Path(__file__).parents[2] / "told" / f"{run}.{step}"
note.write_text(f"{began} {time.time()}")
"""


def run(size: Size) -> Iterator[str]:
    """Measure both and yield them side by side; no batch is too small or too large for this."""
    del size
    with tempfile.TemporaryDirectory(prefix="orchestration-") as folder:
        ours = measure(Path(folder) / "ours", "training", ROOT / "dags", Airflow)
        yield _line("StepPod with the settings of local/airflow.py", ours)
        peer = measure(Path(folder) / "peer", "peer", Path(__file__).with_name("peer"), _Plain)
        yield _line("KubernetesPodOperator and Airflow as they come", peer)
    seconds = statistics.median(ours)
    times = statistics.median(peer) / seconds
    yield f"{seconds:.1f} s · {goal(f'{MOST_SECONDS} s', met=seconds <= MOST_SECONDS)}"
    yield f"{times:.1f} times less · {goal(f'{LEAST_TIMES} times', met=times >= LEAST_TIMES)}"


def _line(name: str, seconds: list[float]) -> str:
    each = ", ".join(f"{value:.1f}" for value in seconds)
    return f"{name:48} {statistics.median(seconds):5.1f} s beyond the pods' own time ({each})"


def measure(folder: Path, dag: str, dags: Path, kind: type[Airflow]) -> list[float]:
    """Return the overhead of each run, in seconds, after one that warms everything up."""
    with _system(folder, dag, dags, kind) as airflow:
        return [_overhead(airflow, folder / "image" / "told") for _ in range(_RUNS + 1)][1:]


def _overhead(airflow: AirflowClient, told: Path) -> float:
    began = time.time()
    run = airflow.trigger()
    while airflow.state(run) not in RUN_ENDED:
        time.sleep(0.1)
    whole = time.time() - began
    if airflow.state(run) != "success" or any(task.tries > 1 for task in airflow.tasks(run)):
        raise RuntimeError(f"{run} was not a plain success: {airflow.tasks(run)}")
    notes = [(told / f"{run}.{step}").read_text().split() for step in ORDER]
    return whole - sum(float(ended) - float(started) for started, ended in notes)


class _Plain(Airflow):
    """Airflow without what local/airflow.py does for speed."""

    def environment(self) -> dict[str, str]:
        """Return the environment with the defaults back in their place."""
        ours = super().environment()
        return {
            **{name: value for name, value in ours.items() if name not in _FASTER},
            "PYTHONPATH": str(ROOT),
        }


def _create_database(postgres: Server) -> None:
    with postgres.connect(SUPERUSER, "postgres") as connection:
        connection.autocommit = True
        password = sql.Literal(postgres.credentials.read("postgres-airflow"))
        connection.execute(sql.SQL("CREATE ROLE airflow LOGIN PASSWORD {}").format(password))
        connection.execute("CREATE DATABASE airflow OWNER airflow")


@contextmanager
def _system(folder: Path, dag: str, dags: Path, kind: type[Airflow]) -> Iterator[AirflowClient]:
    processes = Processes(folder / "logs")
    credentials = Credentials(folder / "secrets")
    postgres = Server(folder / "postgres", free_loopback_port(), credentials)
    kubeconfig = write_pods_world(folder, _PROGRAM)
    try:
        postgres.start(processes)
        processes.serve({"postgres": postgres.answers}, _START_SECONDS)
        _create_database(postgres)
        start_pods(processes, folder)
        system = kind(
            folder / "airflow", free_loopback_port(), ROOT / ".envs" / "airflow" / "bin", dags,
            postgres.url("airflow", "airflow", "psycopg2"), kubeconfig, credentials,
        )  # fmt: skip
        system.migrate(processes)
        system.start(processes)
        with system.client(dag) as client:
            processes.serve(system.probes(client), _START_SECONDS)
            yield client
    finally:
        processes.stop_all()
