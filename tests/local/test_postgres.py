"""PostgreSQL from wheels: who gets in, who may do what, and what a restart finds."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from local.credentials import Credentials
from local.postgres import ACCOUNT, SUPERUSER, Server
from local.processes import Processes
from tests.servers import free_loopback_port


@contextmanager
def started(folder: Path) -> Iterator[Server]:
    processes = Processes(folder / "logs")
    server = Server(folder / "postgres", free_loopback_port(), Credentials(folder / "credentials"))
    try:
        server.start(processes)
        processes.serve({"postgres": server.answers}, within=60)
        yield server
    finally:
        processes.stop_all()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give a running server that tests only look at."""
    with started(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """Give a running server that a test may kill."""
    with started(tmp_path) as server:
        yield server


def postmaster(server: Server) -> psutil.Process:
    return psutil.Process(int((server.data / "postmaster.pid").read_text().split()[0]))


def login(server: Server, role: str, password: str) -> psycopg.Connection:
    return psycopg.connect(
        host="127.0.0.1", port=server.port, user=role, password=password, dbname="postgres", connect_timeout=5
    )


def restart(server: Server, logs: Path) -> Processes:
    processes = Processes(logs)
    server.start(processes)
    processes.serve({"postgres": server.answers}, within=60)
    return processes


def test_a_wrong_password_is_refused(server: Server) -> None:
    with pytest.raises(psycopg.OperationalError, match='password authentication failed for user "postgres"'):
        login(server, SUPERUSER, "wrong")
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        login(server, SUPERUSER, "")
    login(server, SUPERUSER, server.credentials.read("postgres-postgres")).close()


def test_the_password_is_stored_and_asked_for_as_scram(server: Server) -> None:
    with server.connect(SUPERUSER, "postgres") as connection:
        stored = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'postgres'").fetchone()
        rules = connection.execute("SELECT type, auth_method FROM pg_hba_file_rules").fetchall()
    assert stored is not None
    assert str(stored[0]).startswith("SCRAM-SHA-256$")
    assert rules == [("host", "scram-sha-256")]


def test_it_listens_on_loopback_and_on_no_socket(server: Server) -> None:
    listening = [c.laddr for c in postmaster(server).net_connections("all") if c.status == psutil.CONN_LISTEN]
    assert listening == [("127.0.0.1", server.port)]
    assert not list(server.data.rglob(".s.PGSQL.*"))


def test_it_is_postgresql_16_and_not_root(server: Server) -> None:
    with server.connect(SUPERUSER, "postgres") as connection:
        assert connection.info.server_version // 10000 == 16
    user = postmaster(server).username()
    assert user != "root"
    assert os.geteuid() != 0 or user == ACCOUNT


def test_no_password_shows_in_the_process_list(server: Server) -> None:
    password = server.credentials.read("postgres-postgres")
    process = postmaster(server)
    for one in [process, *process.children()]:
        assert password not in " ".join(one.cmdline())


def test_credentials_are_for_their_owner_only(server: Server) -> None:
    path = server.credentials.path("postgres-postgres")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert not (server.folder / "password").exists()


def test_it_restarts_after_sigkill_with_what_was_committed(own_server: Server, tmp_path: Path) -> None:
    with own_server.connect(SUPERUSER, "postgres") as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    process = postmaster(own_server)
    process.send_signal(signal.SIGKILL)
    psutil.wait_procs([process], timeout=30)
    assert (own_server.data / "postmaster.pid").exists()

    processes = restart(own_server, tmp_path / "logs2")
    with own_server.connect(SUPERUSER, "postgres") as connection:
        assert connection.execute("SELECT one FROM kept").fetchall() == [(1,)]
    processes.stop_all()


def test_a_process_id_file_that_names_a_living_stranger_is_no_obstacle(own_server: Server, tmp_path: Path) -> None:
    process = postmaster(own_server)
    pid_file = (own_server.data / "postmaster.pid").read_text().splitlines()
    process.send_signal(signal.SIGINT)
    psutil.wait_procs([process], timeout=30)
    (own_server.data / "postmaster.pid").write_text("\n".join([str(os.getpid()), *pid_file[1:]]) + "\n")

    restart(own_server, tmp_path / "logs2").stop_all()


def test_a_server_that_outlived_its_stack_is_ended_first(own_server: Server, tmp_path: Path) -> None:
    left = postmaster(own_server)
    processes = restart(own_server, tmp_path / "logs2")
    assert not left.is_running() or left.status() == psutil.STATUS_ZOMBIE
    assert postmaster(own_server).pid != left.pid
    processes.stop_all()


def test_a_start_killed_in_the_middle_of_the_first_one_leaves_no_half_a_server(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    (folder / "data.draft" / "base").mkdir(parents=True)
    (folder / "data.draft" / "PG_VERSION").write_text("16\n")
    (folder / "password").write_text("of the first try")
    server = Server(folder, free_loopback_port(), Credentials(tmp_path / "credentials"))
    restart(server, tmp_path / "logs").stop_all()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=5)
