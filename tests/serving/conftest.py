"""A deployment with one version in production, and the service on it, for all tests of a file."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from local.mlflow_server import MlflowServer
from local.postgres import Server
from serving.champion import Champions
from steps.common.bundle import Bundle
from tests.servers import fresh_databases
from tests.serving.looking import looking
from tests.serving.running import Service, environment, register, running
from tests.steps.conftest import deployment, emptied, mlflow
from tests.steps.deployment import Deployment

__all__ = ["deployment", "mlflow"]


@dataclass
class Served:
    """A deployment, its champion, and the service that serves it."""

    deployment: Deployment
    version: int
    bundle: Bundle
    service: Service


@pytest.fixture(scope="module")
def served(server: Server, mlflow_server: MlflowServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Return a service that serves version 1 of a deployment of its own."""
    folder = tmp_path_factory.mktemp("served")
    with emptied(mlflow_server):
        made = Deployment(fresh_databases(server), mlflow_server, folder)
        version, bundle = register(made, "run 0")
        made.set_alias(version)
        variables = environment(made.databases, mlflow_server.url, folder / "state")
        with running(variables, folder) as service:
            service.wait_until(lambda: service.version() == version)
            yield Served(made, version, bundle, service)
        made.close()


@pytest.fixture
def champions(deployment: Deployment) -> Iterator[Champions]:
    """Return a service's view of a deployment, as the role it has."""
    made = looking(deployment)
    yield made
    made.close()
