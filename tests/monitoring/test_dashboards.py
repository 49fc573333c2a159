"""The dashboards as Grafana will load them, which cannot be had here: as data."""

from itertools import combinations
from typing import Any

import pytest
import yaml

from tests.monitoring.prometheus import MANIFESTS, dashboards

# Those of Grafana's units that are used; a misspelt one is shown as a suffix and never complained of.
UNITS = {"short", "s", "bytes", "percentunit", "reqps", "ops", "currencyUSD"}
PANELS = [
    pytest.param(panel, id=f"{name} {panel['title']}") for name, board in dashboards().items()
    for panel in board["panels"]
]  # fmt: skip


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert panel["title"].strip()
    assert panel["description"].strip().endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["type"] in {"stat", "timeseries", "bargauge"}
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["targets"]
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    for target in panel["targets"]:
        assert target["legendFormat"]
        # Not a job of another system in the same Prometheus that has a metric of the same name.
        assert target["expr"].count("{") == target["expr"].count('job="serving"')


@pytest.mark.parametrize("name", dashboards())
def test_a_dashboard_can_be_loaded(name: str) -> None:
    board = dashboards()[name]
    assert name == f"{board['uid']}.json"
    assert len(board["uid"]) <= 40
    assert isinstance(board["schemaVersion"], int)
    assert "id" not in board, "Grafana gives it one"
    (variable,) = board["templating"]["list"]
    assert (variable["name"], variable["type"], variable["query"]) == ("datasource", "datasource", "prometheus")
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


@pytest.mark.parametrize("name", dashboards())
def test_no_panel_lies_on_another(name: str) -> None:
    places = [panel["gridPos"] for panel in dashboards()[name]["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)


def test_there_is_one_for_the_api_the_model_and_the_pipeline() -> None:
    assert set(dashboards()) == {"appraiser-api.json", "appraiser-model.json", "appraiser-pipeline.json"}


def test_grafana_finds_each_without_a_click() -> None:
    for path in MANIFESTS.glob("dashboard-*.yaml"):
        manifest = yaml.safe_load(path.read_text())
        assert (manifest["apiVersion"], manifest["kind"]) == ("v1", "ConfigMap")
        assert manifest["metadata"]["labels"] == {"grafana_dashboard": "1"}
