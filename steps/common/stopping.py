"""How a step hears that its pod was deleted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

STOPPED: Final = 128 + signal.SIGTERM


class Stopped(BaseException):
    """The process was told to stop."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise Stopped on SIGTERM, in the main thread; elsewhere change nothing.

    Process 1 of a container hears only signals it has a handler for: a deleted pod worked on until it was killed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(_number: int, _frame: object) -> None:
    raise Stopped("told to stop")
