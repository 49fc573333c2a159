"""What tests of steps need beside a ledger: MLflow as empty as the ledger is."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.mlflow_server import MlflowServer
from steps.common.registry import MODEL
from steps.common.settings import Settings
from steps.common.tracking import EXPERIMENT, Tracking
from tests.servers import Databases
from tests.steps.deployment import Deployment


@pytest.fixture
def mlflow(mlflow_server: MlflowServer) -> Iterator[MlflowServer]:
    """Return the session's MLflow server without any run, version or alias of a test before."""
    with emptied(mlflow_server):
        yield mlflow_server


@contextmanager
def emptied(mlflow_server: MlflowServer) -> Iterator[MlflowServer]:
    """Leave no run, version or alias behind for whoever comes next."""
    yield mlflow_server
    tracking = Tracking(Settings(mlflow_url=mlflow_server.url))
    if any(model.name == MODEL for model in tracking.search_registered_models()):
        tracking.delete_registered_model(MODEL)
    known = tracking.get_experiment_by_name(EXPERIMENT)
    if known is not None:
        # A deleted experiment keeps its name.
        tracking.rename_experiment(known.experiment_id, f"{EXPERIMENT} {uuid.uuid4().hex}")
        tracking.delete_experiment(known.experiment_id)


@pytest.fixture
def deployment(databases: Databases, mlflow: MlflowServer, tmp_path: Path) -> Iterator[Deployment]:
    """Return an empty deployment of its own."""
    made = Deployment(databases, mlflow, tmp_path)
    yield made
    made.close()
