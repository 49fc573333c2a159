"""One real MLflow server for the session, on the session's PostgreSQL, with its artifacts in a folder."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.mlflow_server import Bucket, MlflowServer
from local.postgres import Server
from local.processes import Processes
from steps.common.registry import MODEL
from steps.common.settings import Settings
from steps.common.tracking import EXPERIMENT, Tracking
from tests.servers import ROOT, free_loopback_port

PROGRAMS = ROOT / ".envs" / "registry" / "bin"
START_SECONDS = 240


@contextmanager
def serving(folder: Path, server: Server, database: str, bucket: Bucket | None = None) -> Iterator[MlflowServer]:
    """Run an MLflow server of one's own on a database that the role mlflow owns."""
    url = server.url("mlflow", database, driver="psycopg2")
    mlflow = MlflowServer(folder / "mlflow", free_loopback_port(), PROGRAMS, url, bucket)
    processes = Processes(folder / "logs")
    try:
        mlflow.start(processes)
        processes.serve({"mlflow": mlflow.answers}, START_SECONDS)
        yield mlflow
    finally:
        processes.stop_all()


@pytest.fixture(scope="session")
def mlflow_server(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """Return a running MLflow server; tests share it, and name their models and experiments apart."""
    with serving(tmp_path_factory.mktemp("mlflow"), server, "mlflow") as mlflow:
        yield mlflow


def empty(mlflow: MlflowServer) -> None:
    """Take every run, version and alias of ours out of a server."""
    tracking = Tracking(Settings(mlflow_url=mlflow.url))
    if any(model.name == MODEL for model in tracking.search_registered_models()):
        tracking.delete_registered_model(MODEL)
    known = tracking.get_experiment_by_name(EXPERIMENT)
    if known is not None:
        # A deleted experiment keeps its name.
        tracking.rename_experiment(known.experiment_id, f"{EXPERIMENT} {uuid.uuid4().hex}")
        tracking.delete_experiment(known.experiment_id)
