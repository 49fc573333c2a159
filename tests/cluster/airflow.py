"""Airflow beside the cluster: the unmodified DAG, and the rights that our chart gives the scheduler."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from local.airflow import Airflow
from local.airflow_client import RUN_ENDED, AirflowClient
from local.credentials import Credentials
from local.postgres import Server
from local.processes import Processes
from steps.common.step import ORDER
from tests.cluster.access import Cluster
from tests.cluster.story import Story
from tests.cluster.world import NAMESPACE, STEPS_NAMESPACE
from tests.servers import ROOT, free_loopback_port

ACCOUNT: Final = "airflow-scheduler"
START_SECONDS: Final = 300
RUN_SECONDS: Final = 900


@dataclass(frozen=True, kw_only=True)
class BesideTheCluster(Airflow):
    """Airflow as on one machine, but for images named by digest, and pods in the test's namespace."""

    images: Path

    def environment(self) -> dict[str, str]:
        """Return the environment, with what differs in a cluster."""
        return {
            **super().environment(),
            "APPRAISER_IMAGES": str(self.images),
            "APPRAISER_IMAGES_ALLOW_TAGS": "false",
            "APPRAISER_NAMESPACE": STEPS_NAMESPACE,
        }


@contextmanager
def running(cluster: Cluster, images: Mapping[str, str], server: Server, folder: Path) -> Iterator[AirflowClient]:
    """Run Airflow below a folder, on a database server beside the cluster, and give a client of it."""
    folder.mkdir()
    named = folder / "images.yaml"
    named.write_text(yaml.safe_dump({step: images[step] for step in ORDER}))
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(_kubeconfig(cluster)))
    kubeconfig.chmod(0o600)
    processes = Processes(folder / "logs")
    airflow = BesideTheCluster(
        folder / "airflow", free_loopback_port(), ROOT / ".envs" / "airflow" / "bin", ROOT / "dags",
        server.url("airflow", "airflow", "psycopg2"), kubeconfig, Credentials(folder / "secrets"), images=named,
    )  # fmt: skip
    try:
        airflow.migrate(processes)
        airflow.start(processes)
        with airflow.client() as client:
            processes.serve(airflow.probes(client), START_SECONDS)
            yield client
    finally:
        processes.stop_all()


def _kubeconfig(cluster: Cluster) -> dict[str, Any]:
    """Return how Airflow's service account reaches the cluster: with its token, and no other right than its own."""
    cluster.kubectl("create", "serviceaccount", ACCOUNT, f"--namespace={NAMESPACE}")
    token = cluster.kubectl("create", "token", ACCOUNT, f"--namespace={NAMESPACE}", "--duration=4h").strip()
    whole = yaml.safe_load(cluster.kubectl("config", "view", "--raw", "--minify", "--flatten"))
    whole["users"] = [{"name": ACCOUNT, "user": {"token": token}}]
    whole["contexts"][0]["context"]["user"] = ACCOUNT
    return dict(whole)


def follow(client: AirflowClient, run: str, story: Story) -> dict[str, str | None]:
    """Wait until a run has ended, saying how it goes, and return the state of each step."""
    deadline = time.monotonic() + RUN_SECONDS
    told: dict[str, str | None] = {}
    while True:
        ended = client.state(run) in RUN_ENDED
        states = {task.step: task.state for task in client.tasks(run)}
        for step, state in states.items():
            if state != told.get(step):
                story.say(f"{step}: {state}")
        told = states
        if ended:
            return states
        assert time.monotonic() < deadline, states
        time.sleep(1)
