"""Runs the stack in a process below this one, so that killing either of the two leaves nothing behind.

This process watches, the one below it works. Both are subreapers: whatever loses its parent comes to them instead of
to init. When the worker dies, the watcher kills all that is left. When the watcher dies, the worker is told by a
signal, stops in order and kills what is left. Outside Linux there are no subreapers: there an orderly stop is clean,
and after SIGKILL what the killed process's children had started themselves may stay.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Final

from local.processes import kill_descendants

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequested(BaseException):
    """Somebody asked the stack to stop: Ctrl-C, a signal, or the watcher's death."""


def supervise(work: Callable[[], int]) -> int:
    """Run `work` in a child process, pass signals on, and return its exit code when nothing of it is left.

    The first signal asks the worker to stop (StopRequested is raised in its main thread), a second one kills it.
    """
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    watcher = os.getpid()
    sys.stdout.flush()
    worker = os.fork()
    if worker == 0:
        _become_worker(watcher)
        os._exit(_exit_code(work))
    asked = False

    def pass_on(number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        os.kill(worker, signal.SIGKILL if asked else number)
        asked = True

    for number in _STOPPING:
        signal.signal(number, pass_on)
    _, status = os.waitpid(worker, 0)
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)
    kill_descendants()
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _become_worker(watcher: int) -> None:
    """Leave the terminal's process group, so that one Ctrl-C is one signal, and follow the watcher into death."""
    os.setsid()
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    for number in _STOPPING:
        signal.signal(number, _stop_once)
    _prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
    if os.getppid() != watcher:
        os._exit(1)


def _stop_once(_number: int, _frame: FrameType | None) -> None:
    # The way down is not to be interrupted; who is in a hurry asks the watcher twice.
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)
    raise StopRequested


def _exit_code(work: Callable[[], int]) -> int:
    """Run the work to an exit code; kill what it has left running whatever happened to it."""
    try:
        return work()
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  the process ends here; nothing above could report it
        sys.excepthook(*sys.exc_info())
        return 1
    finally:
        kill_descendants()
        sys.stdout.flush()


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
