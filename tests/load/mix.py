"""What callers do: of 100 requests 80 prices, 10 batches, 5 explanations, 3 health checks, 2 looks at the model."""

from __future__ import annotations

import random
from itertools import islice
from typing import Any, Final

from locust import FastHttpUser, constant, events, task
from locust.env import Environment

from tests.bench.answers import synthetic_listings

_LISTINGS: Final = 5000
_BATCH: Final = 100
_NAMES: Final = {"/predict": 0.80, "/predict-batch": 0.10, "/explain": 0.05, "/health": 0.03, "/model-info": 0.02}


def listings() -> list[dict[str, Any]]:
    """Return listings of the synthetic market as callers send them; enough different ones that nothing is cached."""
    return list(islice(synthetic_listings(), _LISTINGS))


class Caller(FastHttpUser):
    """Somebody who asks again as soon as there is an answer."""

    wait_time = constant(0)
    connection_timeout = 10
    network_timeout = 30
    known: list[dict[str, Any]] = listings()  # shared on purpose

    def _one(self) -> dict[str, Any]:
        return random.choice(self.known)  # noqa: S311  # no secret

    @task(80)
    def predict(self) -> None:
        """Ask for one price."""
        self.client.post("/predict", json=self._one())

    @task(10)
    def predict_batch(self) -> None:
        """Ask for many prices."""
        self.client.post("/predict-batch", json={"listings": random.sample(self.known, _BATCH)})

    @task(5)
    def explain(self) -> None:
        """Ask why."""
        self.client.post("/explain", json=self._one())

    @task(3)
    def health(self) -> None:
        """Ask whether it lives."""
        self.client.get("/health")

    @task(2)
    def model_info(self) -> None:
        """Ask which model it is."""
        self.client.get("/model-info?values=10")


@events.quitting.add_listener  # type: ignore[untyped-decorator]  # locust's own
def summarise(environment: Environment, **_: object) -> None:
    """Say in a line for each kind how many there were, how long they took, how many failed."""
    total = environment.stats.total
    lines = [f"{'':16}{'requests':>9}{'share':>8}{'p50 ms':>8}{'p99 ms':>8}{'failed':>8}"]
    for name in _NAMES:
        found = next((one for key, one in environment.stats.entries.items() if key[0].split("?")[0] == name), None)
        if found is not None and found.num_requests:
            lines.append(
                f"{name:16}{found.num_requests:9,}{found.num_requests / total.num_requests:8.1%}"
                f"{found.get_response_time_percentile(0.5):8.0f}{found.get_response_time_percentile(0.99):8.0f}"
                f"{found.num_failures:8,}"
            )
    lines.append(f"{total.num_requests:,} requests, {total.total_rps:,.0f} a second, {total.num_failures:,} failed")
    print("\n".join(["", *lines]))  # noqa: T201  # the report
    environment.process_exit_code = 1 if total.num_failures or not total.num_requests else 0
