"""What a program under test is, whichever it is: a process with a port and a log, waited for and asked to stop."""

import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx


class Running:
    """A server as a process of its own; whoever inherits says how it is started."""

    log: Path
    port: int
    process: subprocess.Popen[bytes] | None

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self.port}"

    def wait_until(self, done: Callable[[], object], seconds: float = 60) -> None:
        """Ask until it is so; the process must live meanwhile."""
        deadline = time.monotonic() + seconds
        while True:
            # Until it listens, nobody answers.
            with suppress(httpx.TransportError):
                if done():
                    return
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.05)

    def stop(self) -> int:
        """Ask it to stop, and return its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)
