"""Who may use a state folder, and whether the ports are free: asked before anything starts."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Final

import psutil

from local.settings import Ports

_WORDS: Final = {
    "airflow": "Airflow", "mlflow": "MLflow", "source": "the source", "postgres": "PostgreSQL", "pods": "the pods",
    "api": "the API", "page": "the page",
}  # fmt: skip
_LEAVING_SECONDS: Final = 60
_POLL_SECONDS: Final = 0.1


class StateInUse(Exception):
    """Another stack works in this state folder."""


class PortTaken(Exception):
    """A port is somebody else's, or asked for twice; the sentence names it and the variable that chooses another."""


@contextmanager
def locked(folder: Path, say: Callable[[str], None]) -> Iterator[int]:
    """Hold a state folder, making it at first; yield the open lock, which our children are to hold with us.

    Raises StateInUse. When a stack was killed, what it had started is still on its way out: that is waited for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # PostgreSQL's own user passes through; nobody else looks around.
    folder.chmod(0o711)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _acquire(lock, folder, say)
        os.ftruncate(lock, 0)
        os.pwrite(lock, json.dumps(_myself()).encode(), 0)
        yield lock
    finally:
        os.close(lock)


def _acquire(lock: int, folder: Path, say: Callable[[str], None]) -> None:
    deadline: float | None = None
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _owner(lock)
            if owner is not None:
                raise StateInUse(f"another run (process {owner}) uses {folder}; stop it first") from None
        else:
            return
        if deadline is None:
            deadline = time.monotonic() + _LEAVING_SECONDS
            say("waiting for what the last run left to end")
        if time.monotonic() > deadline:
            raise StateInUse(
                f"{folder} is still held by processes of an earlier run; `fuser {folder / 'lock'}` lists them"
            )
        time.sleep(_POLL_SECONDS)


def _myself() -> dict[str, float]:
    return {"pid": os.getpid(), "created": psutil.Process().create_time()}


def _owner(lock: int) -> int | None:
    """Return the process that wrote the lock if it lives: a number alone may be another's by now."""
    try:
        written = json.loads(os.pread(lock, 1024, 0))
        alive = psutil.Process(written["pid"]).create_time() == written["created"]
    except (ValueError, psutil.NoSuchProcess):
        return None
    return int(written["pid"]) if alive else None


def check_ports(ports: Ports, without: frozenset[str] = frozenset()) -> None:
    """Raise PortTaken unless every port (but for those of parts that are not started) can be listened on."""
    wanted = {port.name: getattr(ports, port.name) for port in fields(Ports) if port.name not in without}
    twice = [number for number, times in Counter(wanted.values()).items() if times > 1]
    faults = [
        f"port {number} for {_WORDS[name]} {fault}; choose another with PORT_{name.upper()}="
        for name, number in wanted.items()
        if (fault := "is asked for twice" if number in twice else _taken(number))
    ]
    if faults:
        raise PortTaken("\n".join(faults))


def _taken(number: int) -> str | None:
    try:
        socket.create_server(("127.0.0.1", number)).close()
    except PermissionError:
        return "is not allowed to this user"
    except OSError:
        return f"is taken{_by_whom(number)}"
    return None


def _by_whom(number: int) -> str:
    """Return ` by process …`, or nothing where the system does not tell."""
    try:
        owners = {
            found.pid
            for found in psutil.net_connections("tcp")
            if found.status == psutil.CONN_LISTEN and found.laddr and found.laddr[1] == number and found.pid
        }
        return f" by process {min(owners)} ({psutil.Process(min(owners)).name()})" if owners else ""
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        return ""
