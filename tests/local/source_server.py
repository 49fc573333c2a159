"""Starts the data source as the real process it is, on a free port, for any test that needs one."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_DEADLINE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class RunningSource:
    """Where a source listens, its process, and the file it logs to."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def events(self, name: str) -> list[str]:
        """Return the lines logged so far for one event."""
        return [line for line in self.log.read_text().splitlines() if f" event={name} " in line]

    def wait_for(self, name: str, count: int) -> list[str]:
        """Wait until an event has been logged so many times."""
        deadline = time.monotonic() + START_DEADLINE_SECONDS
        while len(found := self.events(name)) < count:
            assert time.monotonic() < deadline, f"{count} {name} expected, the log is:\n{self.log.read_text()}"
            time.sleep(0.02)
        return found


@contextmanager
def running_source(*options: str, start_seconds: float = START_DEADLINE_SECONDS) -> Iterator[RunningSource]:
    """Run `python -m local.source` with these options; it is stopped on the way out."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as out:
            command = [sys.executable, "-m", "local.source", "--port", "0", *options]
            process = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            yield RunningSource(_address(process, log, start_seconds), process, log)
        finally:
            process.terminate()
            try:
                process.wait(START_DEADLINE_SECONDS)
            finally:
                process.kill()
                process.wait()


def _address(process: subprocess.Popen[bytes], log: Path, start_seconds: float) -> str:
    deadline = time.monotonic() + start_seconds
    while (serving := re.search(r"event=serving address=(\S+)", log.read_text())) is None:
        assert process.poll() is None, f"the source ended with {process.returncode}:\n{log.read_text()}"
        assert time.monotonic() < deadline, f"the source does not start:\n{log.read_text()}"
        time.sleep(0.02)
    return serving[1]
