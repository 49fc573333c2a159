"""Starts the system's processes, waits until they serve, and ends every one of them, with all they have started.

Each runs below a local/launch.py of its own, which ends it and everything below it when it is told to or we die, in a
session and process group of its own, with its output in a log file. Start them from the main thread only: on Linux
launch.py is told of the end of the thread that started it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
import psutil

_LAUNCH: Final = Path(__file__).with_name("launch.py")
_POLL_SECONDS: Final = 0.1
# Between two looks a twentieth of what was waited passes, within these bounds: a probe is work for whoever starts up.
_LONGEST_POLL_SECONDS: Final = 0.5
_POLLS: Final = 20
_PROBE_SECONDS: Final = 2
_LOG_LINES_SHOWN: Final = 15
# What a launcher may take to end what its program left, after the program's own patience.
_GRACE_SECONDS: Final = 5
_SIGNALLED: Final = 128
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
# For httpx, where nothing is encrypted: by itself it loads all certificates there are for each client, in 50 ms.
UNENCRYPTED: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class ProcessFailed(Exception):
    """A process ended, or did not come up in time; the sentence names it and shows the end of its log."""


@dataclass(frozen=True)
class User:
    """Whom a process is to run as; `search` lets it enter folders that are closed to that user."""

    uid: int
    gid: int
    search: bool = False


@dataclass(frozen=True)
class Command:
    """What to start: a full path with arguments, its whole environment, and the folder it starts in (made if missing).

    `stop_order` says when it is stopped (lower first); `stop_signal` is what it is asked with, `patience` for how long
    before it is killed, in seconds.
    """

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    user: User | None = None
    stop_order: int = 0
    stop_signal: signal.Signals = signal.SIGTERM
    patience: float = 8


@dataclass(frozen=True)
class Running:
    """A started process, its log and when it was started (monotonic seconds)."""

    command: Command
    process: subprocess.Popen[bytes]
    log: Path
    started: float = field(default_factory=time.monotonic)

    def failure(self, what: str) -> ProcessFailed:
        """Make the sentence for a failure, with the end of the log below it."""
        lines = self.log.read_text(errors="replace").splitlines()[-_LOG_LINES_SHOWN:]
        shown = "".join(f"\n  | {line}" for line in lines)
        return ProcessFailed(f"{self.command.name} {what}; its log is {self.log}{shown}")


class Processes:
    """Everything one stack has started, in the order of starting.

    `lock` is an open file that stays locked until the last of them has ended, whatever becomes of us; `tell` hears of
    each part that has begun to serve, or is done, and of the seconds it took from its start.
    """

    def __init__(
        self, logs: Path, lock: int | None = None, tell: Callable[[str, float], None] = lambda _name, _seconds: None
    ) -> None:
        self._logs = logs
        self._lock = lock
        self._tell = tell
        self._running: list[Running] = []
        self._awaited: dict[str, Callable[[], bool]] = {}
        logs.mkdir(parents=True, exist_ok=True)

    def start(self, command: Command) -> Running:
        """Start a command; its log of the last time is kept as `<name>.previous.log`."""
        command.folder.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"{command.name}.log"
        if log.exists():
            log.replace(log.with_suffix(".previous.log"))
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_LAUNCH), *_launch_options(command), "--", *command.argv],
                env=dict(command.environment), cwd=command.folder, stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                pass_fds=() if self._lock is None else (self._lock,),
            )  # fmt: skip
        running = Running(command, process, log)
        self._running.append(running)
        return running

    def expect(self, probes: Mapping[str, Callable[[], bool]]) -> None:
        """Look, while anything is waited for, whether these processes answer their probes yet."""
        self._awaited |= probes

    @property
    def awaited(self) -> Mapping[str, Callable[[], bool]]:
        """The probes that have not been answered yet."""
        return dict(self._awaited)

    def complete(self, running: Running, within: float) -> float:
        """Wait until a process has ended well and return the seconds it took; raise ProcessFailed otherwise."""
        deadline = time.monotonic() + within
        while (code := running.process.poll()) is None:
            if time.monotonic() > deadline:
                raise running.failure(f"did not end within {within:.0f} s")
            self._look()
        self._running.remove(running)
        if code != 0:
            raise running.failure(f"ended with {_describe(code)}")
        seconds = time.monotonic() - running.started
        self._tell(running.command.name, seconds)
        return seconds

    def serve(self, probes: Mapping[str, Callable[[], bool]], within: float) -> None:
        """Wait until these processes answer their probes; raise ProcessFailed where one ends or does not in time."""
        self.expect(probes)
        deadline = time.monotonic() + within
        while left := probes.keys() & self._awaited.keys():
            self.check()
            if time.monotonic() > deadline:
                raise self._named(min(left)).failure(f"did not answer within {within:.0f} s")
            self._look()

    def _look(self) -> None:
        for name in [name for name, probe in self._awaited.items() if probe()]:
            del self._awaited[name]
            self._tell(name, time.monotonic() - self._named(name).started)
        waited = max((time.monotonic() - self._named(name).started for name in self._awaited), default=0.0)
        time.sleep(min(max(_POLL_SECONDS, waited / _POLLS), _LONGEST_POLL_SECONDS))

    def _named(self, name: str) -> Running:
        return next(running for running in self._running if running.command.name == name)

    def check(self) -> None:
        """Raise ProcessFailed when a process that should run has ended."""
        for running in self._running:
            code = running.process.poll()
            if code is not None:
                raise running.failure(f"ended by itself with {_describe(code)}")

    def stop(self, name: str) -> None:
        """Stop one process by name, and wait for it."""
        self._stop([running for running in self._running if running.command.name == name])

    def stop_all(self) -> None:
        """Stop everything in the order its commands say; what does not end in time is killed."""
        for order in sorted({running.command.stop_order for running in self._running}):
            self._stop([running for running in self._running if running.command.stop_order == order])

    def _stop(self, leaving: list[Running]) -> None:
        for running in leaving:
            running.process.terminate()
        for running in leaving:
            try:
                running.process.wait(running.command.patience + _GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                running.process.kill()
                running.process.wait()
            self._running.remove(running)


def _launch_options(command: Command) -> list[str]:
    options = ["--parent", str(os.getpid()), "--stop-signal", str(int(command.stop_signal))]
    options += ["--patience", str(command.patience)]
    if command.user is not None:
        options += ["--uid", str(command.user.uid), "--gid", str(command.user.gid)]
        options += ["--search"] if command.user.search else []
    return options


def _describe(code: int) -> str:
    code = code if code >= 0 else _SIGNALLED - code
    return f"exit code {code}" if code <= _SIGNALLED else signal.Signals(code - _SIGNALLED).name


def adopt_orphans() -> None:
    """Make this process the parent of what loses its own below it (Linux only), so that `end_orphans` finds it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def follow_parent() -> None:
    """Ask the kernel (Linux only) for SIGTERM when whoever started this process dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def end_orphans() -> None:
    """Kill everything below this process, again until nothing is left: what somebody's SIGKILL of a launcher left."""
    while below := psutil.Process().children(recursive=True):
        for child in below:
            send_signal(child, signal.SIGKILL)
        psutil.wait_procs(below, timeout=_POLL_SECONDS)


def send_signal(process: psutil.Process, number: signal.Signals) -> None:
    """Send a signal to a process that may have ended by now, say because of what another of its kind was sent."""
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def serves(url: str) -> bool:
    """Tell whether an address answers well just now."""
    try:
        return httpx.get(url, timeout=_PROBE_SECONDS, verify=UNENCRYPTED).is_success
    except httpx.TransportError:
        return False


def memory_bytes(pid: int) -> int:
    """Return what a process and all below it hold in memory, shared pages counted once (PSS; elsewhere RSS)."""
    root = psutil.Process(pid)
    total = 0
    for process in [root, *root.children(recursive=True)]:
        try:
            info = process.memory_full_info()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        total += getattr(info, "pss", info.rss)
    return total
