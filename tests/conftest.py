"""What many tests need: free ports, and one real server of each kind for a whole run."""

import pytest

from tests.servers import databases, free_loopback_port, server

__all__ = ["databases", "free_port", "server"]


@pytest.fixture
def free_port() -> int:
    """Return a port of the loopback interface that nobody listened on a moment ago."""
    return free_loopback_port()
