"""What many tests need: free ports, and one real server of each kind for a whole run."""

import pytest

from tests.servers import databases, free_loopback_port, server
from tests.tracking import mlflow_server

__all__ = ["databases", "free_port", "mlflow_server", "server"]


@pytest.fixture
def free_port() -> int:
    """Return a port of the loopback interface that nobody listened on a moment ago."""
    return free_loopback_port()
