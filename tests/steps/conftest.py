"""What tests of steps need beside a ledger: MLflow as empty as the ledger is."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.mlflow_server import MlflowServer
from tests.servers import Databases
from tests.steps.deployment import Deployment
from tests.tracking import empty


@pytest.fixture
def mlflow(mlflow_server: MlflowServer) -> Iterator[MlflowServer]:
    """Return the session's MLflow server without any run, version or alias of a test before."""
    with emptied(mlflow_server):
        yield mlflow_server


@contextmanager
def emptied(mlflow_server: MlflowServer) -> Iterator[MlflowServer]:
    """Leave no run, version or alias behind for whoever comes next."""
    yield mlflow_server
    empty(mlflow_server)


@pytest.fixture
def deployment(databases: Databases, mlflow: MlflowServer, tmp_path: Path) -> Iterator[Deployment]:
    """Return an empty deployment of its own."""
    made = Deployment(databases, mlflow, tmp_path)
    yield made
    made.close()


@pytest.fixture
def led_here(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """Lead whatever step is run in this process to the deployment, by its variables."""
    for name, value in deployment.environment.items():
        monkeypatch.setenv(name, value)
    return deployment
