"""Runs a step like `python -m`, but kills it with SIGKILL right after a commit boundary: the exact worst moment.

    python -m tests.killed_at raw_rows steps.fetch --run-id R

The step says `committed boundary=…` in its log after each commit; a handler waits for that one. Nothing in the step
knows about it.
"""

import logging
import os
import runpy
import signal
import sys


class Kill(logging.Handler):
    """Ends this process without a chance to clean up when the boundary is passed for the n-th time."""

    def __init__(self, boundary: str) -> None:
        super().__init__(logging.INFO)
        self._boundary, _, count = boundary.partition("#")
        self._left = int(count or 1)

    def emit(self, record: logging.LogRecord) -> None:
        """Count the boundary, and kill."""
        event = record.msg if isinstance(record.msg, dict) else {}
        if event.get("event") == "committed" and event.get("boundary") == self._boundary:
            self._left -= 1
            if self._left == 0:
                sys.stdout.flush()
                os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    boundary, module, *arguments = sys.argv[1:]
    logging.getLogger("appraiser").addHandler(Kill(boundary))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
