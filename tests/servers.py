"""One real PostgreSQL for the session, and for every test databases of its own with the roles of production."""

import itertools
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from local.credentials import Credentials
from local.postgres import SUPERUSER, Server
from local.processes import Processes
from local.settings import Ports

ROOT = Path(__file__).parent.parent
_TEMPLATES = ("raw", "clean", "ledger", "optuna")
_ROLES = ("pipeline", "serving", "mlflow", "airflow")


# Below the ports the kernel gives to connections, and below NodePorts. Asked of the kernel, one port was given to two
# servers of one test, and any could go to a connection before its server started.
_PORTS = range(20_000, 30_000)
_SHARED_BY = 16


def _ports() -> Iterator[int]:
    """Yield this worker's share of the ports again and again, starting anywhere: two test runs may go at once."""
    share = _PORTS[int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _SHARED_BY :: _SHARED_BY]
    start = os.getpid() % len(share)
    return itertools.cycle([*share[start:], *share[:start]])


_next_ports = _ports()


def free_loopback_port() -> int:
    """Return a port of the loopback interface that nobody listens on and that this process was not given lately."""
    for port in itertools.islice(_next_ports, len(_PORTS) // _SHARED_BY):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError(f"every port of this worker's share of {_PORTS} is taken")


def free_ports() -> Ports:
    """Return a free port for every part of the system on one machine."""
    return Ports(*(free_loopback_port() for _ in fields(Ports)))


def port_options(ports: Ports) -> list[str]:
    """Return the stack's options that choose these ports."""
    return [f"--port-{name}={port}" for name, port in asdict(ports).items()]


def certificate(folder: Path, *names: str) -> str:
    """Make a certificate that is its own authority, tls.crt with tls.key beside it, and return it as text.

    `names` are whom it is for, as openssl writes them: `DNS:github.com`, `IP:127.0.0.1`.
    """
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=appraiser test", "-addext", f"subjectAltName={','.join(names)}",
         "-keyout", "tls.key", "-out", "tls.crt"],
        cwd=folder, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return (folder / "tls.crt").read_text()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a running server from wheels whose databases were made by the real upgrade."""
    with started_server(tmp_path_factory.mktemp("postgres")) as started:
        upgrade(started)
        yield started


@contextmanager
def started_server(folder: Path) -> Iterator[Server]:
    """Run an empty server from wheels, in a folder of its own, while the body runs."""
    processes = Processes(folder / "logs")
    started = Server(folder / "server", free_loopback_port(), Credentials(folder / "secrets"))
    try:
        started.start(processes)
        processes.serve({"postgres": started.answers}, 60)
        _spare_its_work(started)
        yield started
    finally:
        processes.stop_all()


def _spare_its_work(server: Server) -> None:
    """Leave out the disk's own wait, for tests kill clients and servers, not the machine; and hash passwords once only.

    A password hashed 4,096 times costs each of some thousand connections 3 ms of a processor.
    """
    with server.connect(SUPERUSER, "postgres") as connection:
        connection.autocommit = True
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("ALTER SYSTEM SET full_page_writes = off")
        connection.execute("ALTER SYSTEM SET scram_iterations = 1")
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("SET scram_iterations = 1")
        password = sql.Literal(server.credentials.read(f"postgres-{SUPERUSER}"))
        connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(SUPERUSER), password))


def upgrade(server: Server) -> None:
    """Make roles, databases and tables with the command an operator uses."""
    passwords = {f"APPRAISER_PASSWORD_{role.upper()}": server.credentials.read(f"postgres-{role}") for role in _ROLES}
    subprocess.run(
        [sys.executable, "-m", "steps.common.tables.upgrade"],
        env={
            **passwords,
            "APPRAISER_SUPERUSER_URL": server.url(SUPERUSER, "postgres"),
            "PATH": os.defpath,
            "PYTHONPATH": str(ROOT),
        },
        cwd=ROOT,
        check=True,
        timeout=120,
    )


@dataclass(frozen=True)
class Databases:
    """One test's own databases, by the names the settings have for them."""

    server: Server
    names: dict[str, str]

    def url(self, database: str, role: str = "pipeline") -> str:
        """Return a database's address for a role."""
        return self.server.url(role, self.names[database])

    def connect(self, database: str, role: str = "pipeline") -> psycopg.Connection:
        """Open a connection for looking at what a step left behind."""
        return self.server.connect(role, self.names[database])

    def settings(self) -> dict[str, str]:
        """Return the variables that lead a step here."""
        return {f"APPRAISER_{name.upper()}_URL": self.url(name) for name in self.names}


@pytest.fixture
def databases(server: Server) -> Databases:
    """Return fresh, empty databases, copied from those the upgrade made, with the same rights."""
    return fresh_databases(server)


def fresh_databases(server: Server) -> Databases:
    """Make empty databases of one's own, for as long as the server lives."""
    return copy_databases(server, {template: template for template in _TEMPLATES})


def copy_databases(server: Server, templates: Mapping[str, str]) -> Databases:
    """Return copies of databases nobody is connected to, with the same rights; `templates` by the settings' names."""
    suffix = uuid.uuid4().hex[:10]
    names = {name: f"{name}_{suffix}" for name in templates}
    with server.connect(SUPERUSER, "postgres") as connection:
        connection.autocommit = True
        for name, template in templates.items():
            _execute(connection, "CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy", names[name], template)
            _execute(connection, "REVOKE ALL ON DATABASE {} FROM PUBLIC", names[name])
            for role in ("pipeline", "serving"):
                _execute(connection, "GRANT CONNECT ON DATABASE {} TO {}", names[name], role)
    # Not dropped: that waits for a checkpoint, and the whole server goes with the session's folder.
    return Databases(server, names)


def _execute(connection: psycopg.Connection, statement: str, *names: str) -> None:
    connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
