"""What tests of steps need beside a ledger: MLflow as empty as the ledger is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.mlflow_server import MlflowServer
from tests.servers import Databases
from tests.steps.deployment import Deployment
from tests.tracking import empty


@pytest.fixture
def mlflow(mlflow_server: MlflowServer) -> Iterator[MlflowServer]:
    """Return the session's MLflow server without any run, version or alias of a test before."""
    yield mlflow_server
    empty(mlflow_server)


@pytest.fixture
def deployment(databases: Databases, mlflow: MlflowServer, tmp_path: Path) -> Iterator[Deployment]:
    """Return an empty deployment of its own."""
    made = Deployment(databases, mlflow, tmp_path)
    yield made
    made.close()
