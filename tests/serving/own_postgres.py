"""A PostgreSQL of a test's own, which the test may stop, start again, and freeze."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from local.credentials import Credentials
from local.postgres import Server
from local.processes import Processes, send_signal
from tests.servers import free_loopback_port, upgrade


class OwnPostgres:
    """A server of a test's own, which can be stopped and started again."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._processes = Processes(folder / "logs")
        self.server = Server(folder / "server", port, Credentials(folder / "secrets"))

    def start(self) -> None:
        """Start it and wait."""
        self.server.start(self._processes)
        self._processes.serve({"postgres": self.server.answers}, 60)

    def stop(self) -> None:
        """Stop it and wait."""
        self._processes.stop_all()
        self._processes = Processes(self._folder / "logs")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Keep every process of it from running while the body runs; the kernel goes on taking what it is sent."""
        owner = int((self.server.data / "postmaster.pid").read_text().split()[0])
        first = psutil.Process(owner)
        # The first one before the others, so that it starts no more of them.
        send_signal(first, signal.SIGSTOP)
        processes = [first, *first.children()]
        for process in processes[1:]:
            send_signal(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                send_signal(process, signal.SIGCONT)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[OwnPostgres]:
    """Return a PostgreSQL that may be stopped."""
    tmp_path.chmod(0o755)
    own = OwnPostgres(tmp_path, free_loopback_port())
    own.start()
    upgrade(own.server)
    yield own
    own.stop()
