"""Processes of the stack: what they are given, what their end looks like, and that nothing outlives anything."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from local.processes import Command, Processes, ProcessFailed, send_signal
from tests.servers import ROOT

SHELL = "/bin/sh"
BOUND_SECONDS = 30
# A program with a child in a session of its own, as PostgreSQL's backends and pods are, and one beside it.
SCATTERING = "setsid sleep 1000 & echo $! > {folder}/apart; sleep 1000 & echo $! > {folder}/beside; wait"
# The same behind a stack of its own, whose process id is written last.
STACK = """\
import sys, os, time, pathlib
from local.processes import Command, Processes
folder = pathlib.Path(sys.argv[1])
lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR)
import fcntl; fcntl.flock(lock, fcntl.LOCK_EX)
processes = Processes(folder / "logs", lock)
processes.start(Command("scattering", ["/bin/sh", "-c", sys.argv[2]], {"PATH": os.defpath}, folder))
time.sleep(1000)
"""


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    processes = Processes(tmp_path / "logs")
    yield processes
    processes.stop_all()


def shell(name: str, script: str, folder: Path, **options: float) -> Command:
    return Command(name, [SHELL, "-c", script], {"PATH": os.defpath}, folder, **options)  # type: ignore[arg-type]  # patience only


def until[T](find: Callable[[], T | None]) -> T:
    deadline = time.monotonic() + BOUND_SECONDS
    while (found := find()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def written_pid(path: Path) -> psutil.Process:
    return psutil.Process(until(lambda: int(path.read_text()) if path.exists() and path.read_text().strip() else None))


def assert_ended(*processes: psutil.Process) -> None:
    _, alive = psutil.wait_procs(processes, timeout=BOUND_SECONDS)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def test_a_process_gets_the_environment_it_is_given_and_nothing_else(
    processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APPRAISER_LEFT_OVER", "of the caller")
    command = Command("env", ["/usr/bin/env"], {"ONLY": "this", "LANG": "C.UTF-8"}, tmp_path)
    processes.complete(processes.start(command), BOUND_SECONDS)
    assert (tmp_path / "logs" / "env.log").read_text() == "ONLY=this\nLANG=C.UTF-8\n"


def test_the_log_of_the_time_before_is_kept(processes: Processes, tmp_path: Path) -> None:
    for word in ("first", "second", "third"):
        processes.complete(processes.start(shell("speaker", f"echo {word}", tmp_path)), BOUND_SECONDS)
    assert (tmp_path / "logs" / "speaker.log").read_text() == "third\n"
    assert (tmp_path / "logs" / "speaker.previous.log").read_text() == "second\n"


@pytest.mark.parametrize(
    ("script", "how"), [("echo why >&2; exit 3", "exit code 3"), ("echo why; kill -SEGV $$", "SIGSEGV")]
)
def test_a_failure_names_the_process_how_it_ended_and_its_last_words(
    processes: Processes, tmp_path: Path, script: str, how: str
) -> None:
    running = processes.start(shell("broken", script, tmp_path))
    with pytest.raises(ProcessFailed, match=rf"broken ended with {how}; its log is .*broken.log\n  \| why"):
        processes.complete(running, BOUND_SECONDS)


def test_a_program_that_is_not_there_is_a_sentence(processes: Processes, tmp_path: Path) -> None:
    running = processes.start(Command("absent", [str(tmp_path / "absent")], {}, tmp_path))
    with pytest.raises(ProcessFailed, match=r"cannot start .*absent: No such file or directory"):
        processes.complete(running, BOUND_SECONDS)


def test_a_server_that_ends_while_it_is_waited_for_is_noticed(processes: Processes, tmp_path: Path) -> None:
    processes.start(shell("server", "exit 7", tmp_path))
    with pytest.raises(ProcessFailed, match="server ended by itself with exit code 7"):
        processes.serve({"server": lambda: False}, BOUND_SECONDS)


def test_a_server_that_never_answers_is_given_up(processes: Processes, tmp_path: Path) -> None:
    processes.start(shell("mute", "sleep 1000", tmp_path))
    with pytest.raises(ProcessFailed, match="mute did not answer within 0 s"):
        processes.serve({"mute": lambda: False}, 0)


def test_stopping_ends_what_has_left_the_programs_group_too(processes: Processes, tmp_path: Path) -> None:
    processes.start(shell("scattering", SCATTERING.format(folder=tmp_path), tmp_path))
    below = [written_pid(tmp_path / "apart"), written_pid(tmp_path / "beside")]
    processes.stop_all()
    assert_ended(*below)


def test_a_program_that_does_not_listen_is_killed_after_its_patience(processes: Processes, tmp_path: Path) -> None:
    script = f"trap '' TERM; echo $$ > {tmp_path}/deaf; while :; do sleep 1; done"
    processes.start(shell("deaf", script, tmp_path, patience=0.5))
    deaf = written_pid(tmp_path / "deaf")
    processes.stop_all()
    assert_ended(deaf)


def test_a_later_order_is_stopped_after_an_earlier_one_has_ended(processes: Processes, tmp_path: Path) -> None:
    note = f"trap 'sleep 0.5; echo {{}} >> {tmp_path}/order; exit 0' TERM; touch {tmp_path}/{{}}; sleep 1000 & wait"
    for name, order in (("database", 2), ("client", 1)):
        command = Command(name, [SHELL, "-c", note.format(name, name)], {"PATH": os.defpath}, tmp_path, None, order)
        processes.start(command)
    until(lambda: True if (tmp_path / "database").exists() and (tmp_path / "client").exists() else None)
    processes.stop_all()
    assert (tmp_path / "order").read_text().split() == ["client", "database"]


def test_sigkill_of_the_stack_leaves_nothing_and_frees_its_lock_last(tmp_path: Path) -> None:
    stack = subprocess.Popen(
        [sys.executable, "-c", STACK, str(tmp_path), SCATTERING.format(folder=tmp_path)],
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT)},
    )
    written_pid(tmp_path / "beside")
    below = psutil.Process(stack.pid).children(recursive=True)
    assert len(below) >= 4
    with (tmp_path / "lock").open() as lock:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        stack.send_signal(signal.SIGKILL)
        stack.wait()
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert not [p for p in below if p.is_running() and p.name() == "sleep" and p.status() != psutil.STATUS_ZOMBIE]
    assert_ended(*below)


def test_sigkill_of_a_launcher_ends_its_program(processes: Processes, tmp_path: Path) -> None:
    running = processes.start(shell("victim", f"echo $$ > {tmp_path}/pid; exec sleep 1000", tmp_path))
    victim = written_pid(tmp_path / "pid")
    running.process.kill()
    assert_ended(victim)
    with pytest.raises(ProcessFailed, match="victim ended by itself with SIGKILL"):
        processes.check()


def test_a_signal_to_what_has_just_ended_is_no_failure() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        process = psutil.Process(child.pid)
        send_signal(process, signal.SIGTERM)
        assert child.wait(timeout=30) == -signal.SIGTERM
        send_signal(process, signal.SIGTERM)
