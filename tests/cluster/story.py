"""What `make cluster-test` says while it works, and the seconds each of its parts took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from local.progress import Progress


class Story(Progress):
    """Progress in parts that are timed; a part that failed is in it, too."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[tuple[str, float]] = []

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Say that a part begins, and when it is over what it took."""
        self.say(f"{name} …")
        began = time.monotonic()
        try:
            yield
        finally:
            seconds = time.monotonic() - began
            self.parts.append((name, seconds))
            self.say(f"{name}: {seconds:.0f} s")

    def summary(self) -> str:
        """Return the parts and their seconds, one a line."""
        return "\n".join(f"{seconds:6.0f} s  {name}" for name, seconds in self.parts)
