"""What many tests need: free ports, and one real server of each kind for a whole run."""

import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.servers import databases, free_loopback_port, server
from tests.tracking import mlflow_server

# How long an example takes says what else the machine does, and nothing about the code.
settings.register_profile("untimed", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

__all__ = ["databases", "free_port", "mlflow_server", "server"]


@pytest.fixture
def free_port() -> int:
    """Return a port of the loopback interface that nobody listened on a moment ago."""
    return free_loopback_port()


@pytest.fixture
def silent() -> Iterator[int]:
    """Return the port of somebody who takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])
