"""A deployment with one version in production, and the service on it."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from steps.common.bundle import Bundle
from tests.serving.running import Service, environment, register, running
from tests.steps.conftest import deployment, mlflow
from tests.steps.deployment import Deployment

__all__ = ["deployment", "mlflow"]


@dataclass
class Served:
    """A deployment, its champion, and the service that serves it."""

    deployment: Deployment
    version: int
    bundle: Bundle
    service: Service


@pytest.fixture
def served(deployment: Deployment) -> Iterator[Served]:
    """Return a service that serves version 1 of a deployment of its own."""
    version, bundle = register(deployment, "run 0")
    deployment.set_alias(version)
    variables = environment(deployment.databases, deployment.mlflow.url, deployment.folder / "state")
    with running(variables, deployment.folder) as service:
        service.wait_until(lambda: service.version() == version)
        yield Served(deployment, version, bundle, service)
