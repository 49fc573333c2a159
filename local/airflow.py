"""Airflow on one machine: the environment and the processes of the real thing, on loopback, with everybody an admin.

Four processes instead of `airflow standalone`: that one starts the same four below itself and serves task logs on all
interfaces, which only the commands' own options turn off.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from local.airflow_client import DAG, AirflowClient
from local.credentials import Credentials
from local.processes import Command, Processes
from steps.common.step import ORDER

NAMESPACE: Final = "appraiser"
_MIGRATE_SECONDS: Final = 300
_HERE: Final = Path(__file__).parent


def image_of(step: str) -> str:
    """Return the name a step's image has on one machine."""
    return f"localhost/appraiser-{step}:dev"


@dataclass(frozen=True)
class Airflow:
    """Airflow's state folder, where it listens, its programs, its database, and the cluster its pods go to.

    `database_url` is written `postgresql+psycopg2://…`; `programs` is the environment's bin folder, `dags` the folder
    of the DAGs; `kubeconfig` leads to the cluster; `settings` are Airflow's own that differ, as `SECTION__KEY`.
    """

    folder: Path
    port: int
    programs: Path
    dags: Path
    database_url: str
    kubeconfig: Path
    credentials: Credentials
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where the page and the API are."""
        return f"http://127.0.0.1:{self.port}"

    def client(self, dag: str = DAG) -> AirflowClient:
        """Open a client for a DAG; close it, or use it as a context."""
        return AirflowClient(self.url, dag)

    def migrate(self, processes: Processes) -> float:
        """Bring the database up to this version and return the seconds it took; raise ProcessFailed."""
        return processes.complete(processes.start(self._command("airflow-migrate", "db", "migrate")), _MIGRATE_SECONDS)

    def start(self, processes: Processes) -> None:
        """Start the four processes; they serve when their `probes` say so."""
        self.folder.mkdir(parents=True, exist_ok=True)
        images = "".join(f"{step}: {image_of(step)}\n" for step in ORDER)
        self._images.write_text(f"# Written at every start: what the pods of this machine run.\n{images}")
        processes.start(self._command("airflow-api", "api-server"))
        # Stopped first: what becomes of a task that was told to stop is heard by the API server.
        processes.start(self._command("airflow-scheduler", "scheduler", "--skip-serve-logs", stop_order=0))
        processes.start(self._command("airflow-dags", "dag-processor"))
        processes.start(self._command("airflow-triggerer", "triggerer", "--skip-serve-logs", stop_order=0))

    def probes(self, client: AirflowClient) -> Mapping[str, Callable[[], bool]]:
        """Return what tells, for each process, whether it works; the last is the DAG's own, and raises DagRefused."""
        started = datetime.now(UTC)
        return {
            "airflow-api": lambda: client.healthy("metadatabase") and client.executes(),
            "airflow-scheduler": lambda: client.healthy("scheduler"),
            "airflow-triggerer": lambda: client.healthy("triggerer"),
            "airflow-dags": lambda: client.loaded(since=started),
        }

    @property
    def _images(self) -> Path:
        return self.folder / "images.yaml"

    def _command(self, name: str, *arguments: str, stop_order: int = 1) -> Command:
        argv = [str(self.programs / "airflow"), *arguments]
        return Command(name, argv, self.environment(), self.folder, stop_order=stop_order, patience=15)

    def environment(self) -> dict[str, str]:
        """Return the whole environment of Airflow's processes; nothing of the caller's own reaches them."""
        return {
            "PATH": os.pathsep.join([str(self.programs), os.defpath]),  # Airflow starts `airflow` by name
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            # The DAG's own module, and what the scheduler is to import before it forks.
            "PYTHONPATH": os.pathsep.join([str(_HERE.parent), str(_HERE / "airflow_settings")]),
            "AIRFLOW_HOME": str(self.folder),
            # An empty connection: the operator says itself how it reaches the cluster. Where there is none, every task
            # asks the API server for it, and the triggerer imports an API server of its own to ask (10 s, once).
            "AIRFLOW_CONN_KUBERNETES_DEFAULT": "kubernetes://",
            "APPRAISER_SCHEDULE": "none",
            "APPRAISER_NAMESPACE": NAMESPACE,
            "APPRAISER_KUBECONFIG": str(self.kubeconfig),
            "APPRAISER_IMAGES": str(self._images),
            "APPRAISER_IMAGES_ALLOW_TAGS": "true",
            **{f"AIRFLOW__{key}": value for key, value in {**self._places(), **_SETTINGS, **self.settings}.items()},
        }

    def _places(self) -> dict[str, str]:
        return {
            "CORE__DAGS_FOLDER": str(self.dags),
            "CORE__FERNET_KEY": f"{self.credentials.read('airflow-fernet')}=",  # 32 bytes in base64, with the padding
            "CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "DATABASE__SQL_ALCHEMY_CONN": self.database_url,
            "API__HOST": "127.0.0.1",
            "API__PORT": str(self.port),
            "API__BASE_URL": self.url,
            "API__SECRET_KEY": self.credentials.read("airflow-api"),
            "API_AUTH__JWT_SECRET": self.credentials.read("airflow-jwt"),
            "LOGGING__BASE_LOG_FOLDER": str(self.folder / "logs"),
        }


_SETTINGS: Final = {
    "CORE__EXECUTOR": "LocalExecutor",
    "CORE__LOAD_EXAMPLES": "false",
    "CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
    "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "true",
    "USAGE_DATA_COLLECTION__ENABLED": "false",
    # Every unit is a process that waits: one task runs at a time, another may be on its way out.
    "CORE__PARALLELISM": "2",
    "API__WORKERS": "1",
    "DAG_PROCESSOR__PARSING_PROCESSES": "1",
    # Each process keeps few connections: PostgreSQL serves the steps, MLflow and the page too.
    "DATABASE__SQL_ALCHEMY_POOL_SIZE": "3",
    "DATABASE__SQL_ALCHEMY_MAX_OVERFLOW": "7",
    # A run waits for the scheduler's next look ten times. Its default, 1 s, makes that 5 s, this 1.5; at 0.2 an idle
    # scheduler takes a tenth of a core.
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
    # How long a task's watcher may overlook that the task has ended: 5 s by default. A task that defers, and is woken
    # within that time, is then taken for one that was killed, and costs a retry.
    "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    # After kill -9 of everything, a task counts as running for this long (default 300 s), then it is tried again.
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
    # A fit takes every core there is, and then what takes a second takes ten.
    "CORE__DAGBAG_IMPORT_TIMEOUT": "120",
    "DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "180",
    "WORKERS__EXECUTION_API_TIMEOUT": "30",
}
