"""The drift laboratory in short: three planted causes through the real steps; `make lab` runs them all."""

from collections.abc import Iterator

import pytest

from local.mlflow_server import MlflowServer
from local.postgres import Server
from tests.faults import honesty
from tests.faults.findings import examine
from tests.faults.laboratory import Laboratory, prepared
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.tracking import empty


@pytest.fixture(scope="module")
def laboratory(
    server: Server, mlflow_server: MlflowServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Laboratory]:
    """Return a laboratory whose champion the steps have trained on the base batch."""
    yield prepared(server, mlflow_server, tmp_path_factory.mktemp("laboratory"))
    empty(mlflow_server)


@pytest.mark.parametrize(
    "scenario", [scenario for scenario in SCENARIOS if scenario.short], ids=lambda scenario: scenario.name
)
def test_what_was_planted_comes_out(laboratory: Laboratory, scenario: Scenario) -> None:
    assert examine(laboratory, scenario).wrong == ()


def test_the_gate_finds_what_is_better_and_holds_a_retraining_on_a_redraw() -> None:
    redrawn, better = honesty.measure({5_000: 4}, better=(0.0, 0.10))
    assert (redrawn.promoted, better.promoted) == (0, 4)
    assert redrawn.interval(0)[1] > 0.05
