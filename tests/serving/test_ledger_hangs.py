"""The service beside a ledger that hangs: it is there, takes what it is sent, and says nothing."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psutil
import pytest

from tests.servers import Databases, fresh_databases
from tests.serving.own_postgres import OwnPostgres, own
from tests.serving.running import Service, body, environment, register, running, stored
from tests.steps.deployment import Deployment

__all__ = ["own"]

PAGES = ("/models", "/models/1", "/batches", "/batches/0", "/alerts")


@dataclass
class Led:
    """A service whose ledger lies on a server that can be frozen, and everything else where it always is."""

    service: Service
    raw: Databases


@pytest.fixture
def led(deployment: Deployment, own: OwnPostgres) -> Iterator[Led]:
    databases = fresh_databases(own.server)
    made = Deployment(databases, deployment.mlflow, deployment.folder)
    version, _ = register(made, "run 0")
    made.set_alias(version)
    changes = {"APPRAISER_LEDGER_URL": databases.url("ledger", "serving")}
    variables = environment(deployment.databases, deployment.mlflow.url, deployment.folder / "state", **changes)
    with running(variables, deployment.folder) as service:
        service.wait_until(lambda: service.version() == version)
        yield Led(service, deployment.databases)
        # It may still be frozen, and has nothing to lose any more.
        service.kill()
    made.close()


def connections(service: Service) -> int:
    """Return how many callers are connected to a service."""
    assert service.process is not None
    found = psutil.Process(service.process.pid).net_connections("tcp4")
    return sum(one.status == psutil.CONN_ESTABLISHED and one.laddr.port == service.port for one in found)


def test_a_ledger_that_hangs_is_down_and_takes_nothing_with_it(led: Led, own: OwnPostgres) -> None:
    service = led.service
    service.wait_until(lambda: "ledger_up 1.0" in service.get("/metrics").text)
    with own.frozen(), ThreadPoolExecutor(len(PAGES)) as callers:
        asked = [callers.submit(service.get, path) for path in PAGES]
        service.wait_until(lambda: "ledger_up 0.0" in service.get("/metrics").text)
        assert "pipeline_" not in service.get("/metrics").text
        assert service.post("/predict", body()).status_code == 200
        kinds = {(answer.result().status_code, answer.result().json()["type"]) for answer in asked}
        assert kinds == {(503, "urn:appraiser:problem:ledger-down")}
    service.wait_until(lambda: "ledger_up 1.0" in service.get("/metrics").text)
    service.wait_until(lambda: service.get("/models").status_code == 200)


def test_told_to_stop_while_the_ledger_hangs_it_ships_and_ends(led: Led, own: OwnPostgres) -> None:
    service = led.service
    service.wait_until(lambda: "ledger_up 1.0" in service.get("/metrics").text)
    with own.frozen(), ThreadPoolExecutor(len(PAGES)) as callers:
        asked = [callers.submit(service.get, path) for path in PAGES]
        answer = service.post("/predict", body())
        service.wait_until(lambda: connections(service) >= len(PAGES))
        service.stop()
        assert {page.result().status_code for page in asked} == {503}
    (row,) = stored(led.raw)
    assert str(row["inference_id"]) == answer.json()["inference_id"]
