"""Callers that never pause, and what they were answered: a service is put under them while a test does things to it."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from local.processes import UNENCRYPTED
from tests.serving.running import Service, bodies

CALLERS = 4
BODIES = bodies()


@dataclass
class Load:
    """Callers that ask without a pause until told to stop: what they sent, what they were answered."""

    answered: list[dict[str, Any]] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)
    cut_off: int = 0

    async def _call(self, client: httpx.AsyncClient, caller: int, stop: threading.Event) -> None:
        number = caller
        while not stop.is_set():
            sent = BODIES[number % len(BODIES)]
            try:
                answer = await client.post("/predict", json=sent)
            except httpx.TransportError:
                self.cut_off += 1
                await asyncio.sleep(0.05)
                continue
            number += CALLERS
            if answer.status_code == 200:
                self.answered.append({**answer.json(), "sent": sent, "header": answer.headers["X-Model-Version"]})
            else:
                self.refused[answer.status_code] += 1

    def run(self, url: str, stop: threading.Event) -> None:
        """Ask until stopped."""

        async def all_of_them() -> None:
            async with httpx.AsyncClient(base_url=url, timeout=30, verify=UNENCRYPTED) as client:
                await asyncio.gather(*(self._call(client, caller, stop) for caller in range(CALLERS)))

        asyncio.run(all_of_them())

    def wait_for(self, more: int, seconds: float = 60) -> None:
        """Wait until so many more were answered."""
        wanted, deadline = len(self.answered) + more, time.monotonic() + seconds
        while len(self.answered) < wanted:
            assert time.monotonic() < deadline, (len(self.answered), self.refused, self.cut_off)
            time.sleep(0.02)


@contextmanager
def load(service: Service) -> Iterator[Load]:
    """Put a service under load while the body runs."""
    made, stop = Load(), threading.Event()
    thread = threading.Thread(target=made.run, args=(service.url, stop))
    thread.start()
    try:
        yield made
    finally:
        stop.set()
        thread.join(60)
