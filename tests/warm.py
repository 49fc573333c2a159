"""Runs a step in its image's environment without waiting for its imports each time: in a child of one that has them.

    python -m tests.warm STEP SOCKET

imports what the step imports and then forks for whoever asks, with the asker's arguments, variables and files in place
of its own. Imports were a quarter of all processor time of the tests. What a fresh interpreter does is shown by
tests/end_to_end and tests/local/test_images.
"""

from __future__ import annotations

import atexit
import json
import os
import runpy
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parent.parent
START_SECONDS = 120
_AT_ONCE_SECONDS = 0.001
_REQUEST_BYTES = 1 << 18
# What steps import when they need it.
_LATER = ("requests", "mlflow", "mlflow.entities", "mlflow.models", "mlflow.pyfunc", "matplotlib.pyplot", "optuna")


class Process:
    """A step that was started; as much of `subprocess.Popen` as tests ask for."""

    def __init__(self, asked: socket.socket, output: IO[str], errors: IO[str]) -> None:
        self.returncode: int | None = None
        self._errors = errors
        self._asked = asked
        self._output = output
        self.pid = int(self._told(START_SECONDS))

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code, a signal's number negative; raise TimeoutExpired."""
        if self.returncode is None:
            try:
                self.returncode = int(self._told(timeout))
            except TimeoutError:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0) from None
            self._asked.close()
        return self.returncode

    def poll(self) -> int | None:
        """Return the exit code; None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(_AT_ONCE_SECONDS)
        return self.returncode

    def printed(self) -> str:
        """Return what was printed so far; the place where the process writes is left as it is."""
        number = self._output.fileno()
        return os.pread(number, os.fstat(number).st_size, 0).decode()

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait, and return what was printed."""
        self.wait(timeout)
        with self._output, self._errors:
            self._output.seek(0)
            self._errors.seek(0)
            return self._output.read(), self._errors.read()

    def kill(self) -> None:
        """Kill it, unless it has ended."""
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _told(self, timeout: float | None) -> bytes:
        self._asked.settimeout(timeout)
        told = self._asked.recv(64)
        if not told:
            raise RuntimeError("the process that forks is gone")
        return told


def start(step: str, arguments: Sequence[str], variables: Mapping[str, str], *, together: bool = False) -> Process:
    """Start `python ARGUMENTS`, which begin with `-m` and a module, with these variables and no others.

    What it prints as errors goes where its output goes if both are wanted `together`.
    """
    output, errors = (tempfile.TemporaryFile("w+", encoding="utf-8") for _ in range(2))  # noqa: SIM115  # the process's
    asked = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    asked.connect(_forking(step, variables.get("APPRAISER_THREADS", "1")))
    request = json.dumps([list(arguments[1:]), dict(variables)]).encode()
    socket.send_fds(asked, [request], [output.fileno(), (output if together else errors).fileno()])
    return Process(asked, output, errors)


@cache
def _forking(step: str, threads: str) -> str:
    """Return the address of the process that forks for a step; it ends with this one.

    OpenMP reads its variables when it is loaded, and its threads wait for each other by spinning. It tells of more than
    one thread where they start.
    """
    openmp = {"NUM_THREADS": threads, "DISPLAY_AFFINITY": "true", "AFFINITY_FORMAT": "OpenMP thread %n of %N"}
    address = str(Path(tempfile.mkdtemp(prefix="warm-")) / "socket")
    python = ROOT / ".envs" / step / "bin" / "python"
    process = subprocess.Popen(
        [python, "-m", "tests.warm", step, address], cwd=ROOT,
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), **{f"OMP_{name}": value for name, value in openmp.items()}},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", f"{step} was not imported: {process.wait(START_SECONDS)}"
    atexit.register(_end, process, Path(address).parent)
    return address


def _end(process: subprocess.Popen[str], folder: Path) -> None:
    with process:
        process.kill()
    shutil.rmtree(folder)


def _import(step: str) -> None:
    import_module(f"steps.{step}.__main__")
    if find_spec("mlflow"):
        from steps.common.settings import Settings
        from steps.common.tracking import Tracking

        # Made before mlflow is imported, as in a step: some of its limits are read then.
        Tracking(Settings(mlflow_url="http://nobody"))
    for name in _LATER:
        # Not every image has all of them.
        with suppress(ModuleNotFoundError):
            import_module(name)


def _serve(step: str, address: str) -> tuple[list[str], dict[str, str]]:
    """Fork for whoever asks until the asker is gone; return in a child, its arguments and variables."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(address)
    listener.listen()
    _import(step)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    watched = selectors.DefaultSelector()
    watched.register(0, selectors.EVENT_READ)
    watched.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in watched.select():
            if key.fileobj == 0:
                sys.exit()
            if key.fileobj is not listener:
                _tell_end(watched, key)
            elif child := _fork(watched, listener):
                return child


def _fork(watched: selectors.DefaultSelector, listener: socket.socket) -> tuple[list[str], dict[str, str]] | None:
    """Fork for the next who asks, and tell him the number; return in the child its arguments and variables."""
    asked, _ = listener.accept()
    request, files, _, _ = socket.recv_fds(asked, _REQUEST_BYTES, 2)
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        pid = os.fork()
    if pid == 0:
        _close(watched, asked)
        for file, number in zip((os.open(os.devnull, os.O_RDONLY), *files), range(3), strict=True):
            os.dup2(file, number)
            os.close(file)
        arguments, variables = json.loads(request)
        return arguments, variables
    for file in files:
        os.close(file)
    with suppress(OSError):
        asked.send(str(pid).encode())
    watched.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, asked))
    return None


def _tell_end(watched: selectors.DefaultSelector, key: selectors.SelectorKey) -> None:
    """Tell whoever asked for a process how it has ended."""
    pid, asked = key.data
    _, status = os.waitpid(pid, 0)
    with suppress(OSError):
        asked.send(str(os.waitstatus_to_exitcode(status)).encode())
    asked.close()
    watched.unregister(key.fileobj)
    os.close(key.fd)


def _close(watched: selectors.DefaultSelector, asked: socket.socket) -> None:
    """Close in a child what is its parent's."""
    for key in list(watched.get_map().values()):
        if key.data:
            os.close(key.fd)
            key.data[1].close()
        elif isinstance(key.fileobj, socket.socket):
            key.fileobj.close()
    watched.close()
    asked.close()


if __name__ == "__main__":
    arguments, variables = _serve(*sys.argv[1:])
    os.environ.clear()
    os.environ.update(variables)
    sys.argv = arguments
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
