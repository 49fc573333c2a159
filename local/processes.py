"""Starts the system's processes, waits until they serve, and ends every one of them, with all they have started.

Each runs below a local/launch.py of its own, which ends it and everything below it when it is told to or we die, in a
session and process group of its own, with its output in a log file. Start them from the main thread only: on Linux
launch.py is told of the end of the thread that started it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

_LAUNCH: Final = Path(__file__).with_name("launch.py")
_POLL_SECONDS: Final = 0.1
_LOG_LINES_SHOWN: Final = 15
# What a launcher may take to end what its program left, after the program's own patience.
_GRACE_SECONDS: Final = 5
_SIGNALLED: Final = 128
_PR_SET_CHILD_SUBREAPER: Final = 36


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
    """What to start: a full path with arguments, and its whole environment.

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

    `lock` is an open file that stays locked until the last of them has ended, whatever becomes of us.
    """

    def __init__(self, logs: Path, lock: int | None = None) -> None:
        self._logs = logs
        self._lock = lock
        self._running: list[Running] = []
        logs.mkdir(parents=True, exist_ok=True)

    def start(self, command: Command) -> Running:
        """Start a command; its log of the last time is kept as `<name>.previous.log`."""
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

    def complete(self, running: Running, within: float) -> float:
        """Wait until a process has ended well and return the seconds it took; raise ProcessFailed otherwise."""
        try:
            code = running.process.wait(within)
        except subprocess.TimeoutExpired:
            raise running.failure(f"did not end within {within:.0f} s") from None
        self._running.remove(running)
        if code != 0:
            raise running.failure(f"ended with {_describe(code)}")
        return time.monotonic() - running.started

    def serve(self, probes: Mapping[str, Callable[[], bool]], within: float) -> dict[str, float]:
        """Wait until every named process answers its probe; return the seconds each took from its start."""
        by_name = {running.command.name: running for running in self._running}
        seconds: dict[str, float] = {}
        deadline = time.monotonic() + within
        while len(seconds) < len(probes):
            self.check()
            for name in probes.keys() - seconds.keys():
                if probes[name]():
                    seconds[name] = time.monotonic() - by_name[name].started
                elif time.monotonic() > deadline:
                    raise by_name[name].failure(f"did not answer within {within:.0f} s")
            time.sleep(_POLL_SECONDS)
        return seconds

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


def end_orphans() -> None:
    """Kill everything below this process, again until nothing is left: what somebody's SIGKILL of a launcher left."""
    while below := psutil.Process().children(recursive=True):
        for child in below:
            child.kill()
        psutil.wait_procs(below, timeout=_POLL_SECONDS)


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
