"""Every chart is Vega-Lite by its schema, has words for its axes, and writes them in colours that can be read."""

from collections.abc import Callable
from typing import Any

import pytest

from frontend import changes, charts
from frontend.charts import Drawing
from frontend.waterfall import bars, force, waterfall
from tests.frontend.explained import explanation
from tests.frontend.test_waterfall import explanation as priced

VERSIONS = [
    {"version": version, "measure": measure, "error": 50_000.0 - version, "champion": version == 3}
    for version in (1, 2, 3)
    for measure in ("RMSE", "MAE")
]
REIGNS = [{"version": 1, "start": "2026-11-01T00:00:00+00:00", "end": "2026-11-02T00:00:00+00:00", "now": True}]
DRIFT = [{"column": "Living area", "psi": 8.0, "chance": 0.02, "changed": True}]
BARS = bars(priced([1000.0, -2000.0]))


def terms() -> Drawing:
    return charts.intervals(changes.terms(explanation()["error_change"]), charts.dollars("RMSE, US dollars"))


def attributions() -> Drawing:
    return charts.attributions(changes.features(explanation()["attributions"]["features"]))


CHARTS: list[tuple[Callable[[], Drawing], str]] = [
    (lambda: charts.history(VERSIONS), "Error, US dollars"), (lambda: charts.reigns(REIGNS), "Time (UTC)"),
    (lambda: charts.drift(DRIFT), "Population stability index"), (terms, "RMSE, US dollars"),
    (attributions, "Change of mean |SHAP|, log price"),
    (lambda: waterfall(BARS, 220_000.0, 219_000.0), "Price, US dollars"),
    (lambda: force(BARS, 220_000.0, 219_000.0), "Price, US dollars"),
]  # fmt: skip


def axes(spec: Any) -> set[str]:
    """Return every title in a specification, at any depth."""
    if isinstance(spec, dict):
        mine = {spec["title"]} if isinstance(spec.get("title"), str) else set()
        return mine.union(*map(axes, spec.values()))
    return set[str]().union(*map(axes, spec)) if isinstance(spec, list) else set()


@pytest.mark.parametrize(("drawn", "title"), CHARTS)
def test_a_chart_keeps_vega_lites_schema_and_names_its_axis(drawn: Callable[[], Drawing], title: str) -> None:
    chart = drawn()
    assert chart.to_dict(validate=True), "Altair raises where the schema is broken"
    spec = charts.specified(chart)
    assert title in axes(spec)
    assert spec["config"]["axis"]["labelColor"] == charts.ink()[1]


@pytest.mark.parametrize(("champion", "align"), [(3, "right"), (2, "center")])
def test_the_champions_name_stays_inside_the_chart(champion: int, align: str) -> None:
    rows = [{**row, "champion": row["version"] == champion} for row in VERSIONS]
    (words,) = [layer for layer in charts.history(rows).to_dict()["layer"] if layer["mark"]["type"] == "text"]
    assert words["mark"]["align"] == align
