"""The whole system on one machine: starts every part, takes the batches through, stops all of it.

`make run` is `python -m local.stack`. Exit status 0: every batch wanted has its verdict. 1: something failed, and a
sentence says what. 2: wrong options. Ctrl-C stops in order, a second one at once.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Final

import httpx

from local import pod_client
from local.airflow import Airflow
from local.airflow_client import AirflowRefused, DagRefused
from local.credentials import Credentials, write_keys
from local.frontend import Frontend
from local.images import ImageMissing, build
from local.mlflow_server import MlflowServer
from local.postgres import SUPERUSER, Server, ServerRefused
from local.processes import (
    Command,
    Processes,
    ProcessFailed,
    adopt_orphans,
    end_orphans,
    follow_parent,
    memory_bytes,
    serves,
)
from local.progress import Progress
from local.run import PartSilent, Run
from local.serving import Serving
from local.settings import REPOSITORY, Settings, parse
from local.state_folder import PortTaken, StateInUse, check_ports, locked

_ENVIRONMENTS: Final = REPOSITORY / ".envs"
_ROLES: Final = ("pipeline", "serving", "mlflow", "airflow")
_STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_UPGRADE_SECONDS: Final = 120
# Imports of Airflow and MLflow on a machine that is busy with them all at once.
_START_SECONDS: Final = 300
_SOURCE_SECONDS: Final = 30


class StopRequested(BaseException):
    """Somebody asked the stack to stop: Ctrl-C or a signal."""


class SourceUnreachable(Exception):
    """The http source does not answer; the sentence names its address and the setting."""


class Stack:
    """Every part of the system on one machine, for one checked request."""

    def __init__(self, settings: Settings, processes: Processes, progress: Progress) -> None:
        self._settings = settings
        self._processes = processes
        self._progress = progress
        self._state = settings.state
        ports, credentials = settings.ports, Credentials(self._state / "credentials")
        self.postgres = Server(self._state / "postgres", ports.postgres, credentials)
        self.mlflow = MlflowServer(
            self._state / "mlflow", ports.mlflow, _ENVIRONMENTS / "registry" / "bin",
            self.postgres.url("mlflow", "mlflow", driver="psycopg2"),
        )  # fmt: skip
        self.pods = self._state / "pods"
        self.airflow = Airflow(
            self._state / "airflow", ports.airflow, _ENVIRONMENTS / "airflow" / "bin", REPOSITORY / "dags",
            self.postgres.url("airflow", "airflow", driver="psycopg2"), self.pods / "kubeconfig", credentials,
        )  # fmt: skip

        self.serving = Serving(
            self._state / "serving", ports.api, _ENVIRONMENTS / "serving" / "bin", REPOSITORY,
            {
                "raw_url": self.postgres.url("serving", "raw"),
                "ledger_url": self.postgres.url("serving", "ledger"),
                "mlflow_url": self.mlflow.url,
                "source_id": settings.source_id,
                "token_file": str(credentials.path("api-token")),
            },
        )  # fmt: skip
        self.page = Frontend(
            self._state / "page", ports.page, _ENVIRONMENTS / "frontend" / "bin", REPOSITORY, self.serving.url
        )

    @property
    def source_url(self) -> str:
        """Where the source is asked."""
        return self._settings.source if self._settings.remote else f"http://127.0.0.1:{self._settings.ports.source}"

    def start(self) -> None:
        """Start every part, those that wait for nobody side by side; raise a named error with a sentence."""
        images = build(REPOSITORY, self._state / "images")
        self._write_configuration()
        if self._settings.remote:
            self._reach_source()
        else:
            self._start_source()
        self._start_pod_runner(images)
        self.postgres.start(self._processes)
        self._processes.serve({"postgres": self.postgres.answers}, _START_SECONDS)
        self._upgrade()
        self.mlflow.start(self._processes)
        self._processes.expect({"mlflow": self.mlflow.answers})
        self._migrate_airflow()
        self.airflow.start(self._processes)
        with self.airflow.client() as client:
            self._processes.serve(self.airflow.probes(client), _START_SECONDS)
        self._processes.serve(self._processes.awaited, _START_SECONDS)
        # Last: it needs MLflow, and its imports beside Airflow's would hold both up.
        self.serving.start(self._processes)
        self.page.start(self._processes)
        self._processes.serve({"api": self.serving.answers, "page": self.page.answers}, _START_SECONDS)
        self._progress.say(f"everything is up and holds {memory_bytes(os.getpid()) / 1e6:,.0f} MB of memory")

    def stop(self) -> None:
        """Stop every part, PostgreSQL last."""
        self._processes.stop_all()

    def check(self) -> None:
        """Raise ProcessFailed when a part has ended by itself."""
        self._processes.check()

    def addresses(self) -> Mapping[str, str]:
        """Return what to show: the parts and where each is to be reached."""
        password = self.postgres.credentials.path(f"postgres-{SUPERUSER}")
        token = self.postgres.credentials.path("api-token")
        return {
            "page": self.page.url,
            "API": f"{self.serving.url}/docs  (token for /reload-model in {token})",
            "Airflow": f"{self.airflow.url}  (no password)",
            "MLflow": self.mlflow.url,
            "source": f"{self.source_url}/docs",
            "PostgreSQL": f"127.0.0.1:{self.postgres.port}, user {SUPERUSER}, password in {password}",
            "kubectl": f"export KUBECONFIG={self.pods / 'kubeconfig'}; kubectl get pods",
            "logs": str(self._state / "logs"),
        }

    def _upgrade(self) -> None:
        """Make or upgrade roles, databases and tables, in the environment of fetch."""
        passwords = {
            f"APPRAISER_PASSWORD_{role.upper()}": self.postgres.credentials.read(f"postgres-{role}") for role in _ROLES
        }
        command = Command(
            "databases",
            [str(_ENVIRONMENTS / "fetch" / "bin" / "python"), "-m", "steps.common.tables.upgrade"],
            {"PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONPATH": str(REPOSITORY),
             "APPRAISER_SUPERUSER_URL": self.postgres.url(SUPERUSER, "postgres"), **passwords},
            REPOSITORY,
        )  # fmt: skip
        self._processes.complete(self._processes.start(command), _UPGRADE_SECONDS)

    def _migrate_airflow(self) -> None:
        """Bring Airflow's database up to date, but only once for one version: it takes half of a later start."""
        version = hashlib.sha256((REPOSITORY / "requirements" / "airflow.txt").read_bytes()).hexdigest()
        stamp = self._state / "airflow-migrated"
        if not stamp.exists() or stamp.read_text() != version:
            self.airflow.migrate(self._processes)
            stamp.write_text(version)

    def _start_source(self) -> None:
        settings = self._settings
        options = ["--port", str(settings.ports.source), "--source", settings.source, "--scale", str(settings.scale)]
        self._start_module("source", "local.source", *options, "--state", str(self._state / "source.json"))
        self._processes.expect({"source": lambda: serves(f"{self.source_url}/health")})

    def _start_pod_runner(self, images: Path) -> None:
        where = ["--port", str(self._settings.ports.pods), "--root", str(self.pods)]
        self._start_module("pods", "local.pod_runner", *where, "--images", str(images))
        self._processes.expect({"pods": lambda: pod_client.answers(self.airflow.kubeconfig)})

    def _start_module(self, name: str, module: str, *options: str) -> None:
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "PYTHONPATH": str(REPOSITORY)}
        argv = [sys.executable, "-m", module, *options]
        self._processes.start(Command(name, argv, environment, REPOSITORY, stop_order=1))

    def _write_configuration(self) -> None:
        settings = self._settings
        plain = {
            "APPRAISER_MLFLOW_URL": self.mlflow.url,
            "APPRAISER_SOURCE_URL": self.source_url,
            "APPRAISER_SOURCE_GROUP": str(settings.group),
            "APPRAISER_SOURCE_ID": settings.source_id,
            **({"APPRAISER_SOURCE_DAY": settings.day} if settings.day else {}),
            **settings.step_settings,
        }
        databases = ("raw", "clean", "ledger", "optuna")
        secret = {f"{database}-url": self.postgres.url("pipeline", database) for database in databases}
        write_keys(self.pods / "configmaps" / "appraiser", plain)
        write_keys(self.pods / "secrets" / "appraiser-databases", secret)

    def _reach_source(self) -> None:
        """Find out early that nobody is there; what the answers are worth is for fetch to judge."""
        try:
            httpx.get(f"{self.source_url}/health", timeout=_SOURCE_SECONDS)
        except httpx.TransportError as error:
            raise SourceUnreachable(f"the source at {self.source_url} (SOURCE=) does not answer: {error}") from error


def main() -> int:
    """Run what was asked for; return the exit status."""
    settings = parse(sys.argv[1:], os.environ)
    progress = Progress()
    for number in _STOPPING:
        signal.signal(number, _stop)
    adopt_orphans()
    if settings.end_with_parent:
        follow_parent()
    try:
        return _run(settings, progress)
    except StopRequested:
        progress.say("stopped at once")
        return 128 + signal.SIGINT
    except _SENTENCES as error:
        progress.fail(str(error))
        return 1
    finally:
        end_orphans()


_SENTENCES: Final = (
    AirflowRefused, DagRefused, ImageMissing, PartSilent, PortTaken, ProcessFailed, ServerRefused, SourceUnreachable,
    StateInUse,
)  # fmt: skip


def _run(settings: Settings, progress: Progress) -> int:
    progress.say(f"{settings.source} is {settings.source_id}; its state is in {settings.state}")
    if sys.platform != "linux":
        progress.say("outside Linux, the pods' memory limits and the end of everything after SIGKILL are best effort")
    with locked(settings.state, progress.say) as lock:
        check_ports(settings.ports, frozenset({"source"}) if settings.remote else frozenset())
        stack = Stack(settings, Processes(settings.state / "logs", lock, progress.ready), progress)
        try:
            stack.start()
            progress.show_addresses(stack.addresses())
            code = 0 if Run(settings, stack, progress).finish() else 1
            if not settings.exit_at_end:
                _wait(stack, progress)
        except StopRequested:
            code = 128 + signal.SIGINT
        finally:
            progress.say("stopping")
            stack.stop()
    return code


def _wait(stack: Stack, progress: Progress) -> None:
    """Stay up until somebody asks to stop, or a part ends by itself."""
    progress.show_addresses(stack.addresses())
    progress.say("everything stays up; Ctrl-C stops it")
    try:
        while True:
            stack.check()
            time.sleep(1)
    except StopRequested:
        # It was asked for: how the batches went is what counts.
        return


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise StopRequested


if __name__ == "__main__":
    sys.exit(main())
