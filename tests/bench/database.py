"""A PostgreSQL of its own for a benchmark, as `make run` has it: fsync on, our tables, on a free port."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.credentials import Credentials
from local.postgres import Server
from local.processes import Processes
from tests.servers import free_loopback_port, upgrade


@contextmanager
def postgres() -> Iterator[Server]:
    """Run a server with empty databases; all of it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        # PostgreSQL runs as a user of its own, who has to be let in.
        folder.chmod(0o755)
        processes = Processes(folder / "logs")
        server = Server(folder / "server", free_loopback_port(), Credentials(folder / "secrets"))
        try:
            server.start(processes)
            processes.serve({"postgres": server.answers}, 60)
            upgrade(server)
            yield server
        finally:
            processes.stop_all()
