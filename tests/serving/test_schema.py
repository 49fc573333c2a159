"""The OpenAPI document and the service agree: schemathesis sends what the one allows and forbids to the other."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from serving.app import create_app
from serving.settings import Settings
from tests.serving.conftest import Served
from tests.serving.running import TOKEN

ROUTES = {
    "/", "/health", "/ready", "/model-info", "/predict", "/predict-batch", "/explain", "/reload-model", "/metrics",
    "/models", "/models/{version}", "/batches", "/batches/{number}", "/alerts",
}  # fmt: skip


def document() -> dict[str, Any]:
    found: dict[str, Any] = create_app(Settings()).openapi()
    return found


def test_every_route_and_every_field_says_what_it_is() -> None:
    made = document()
    assert set(made["paths"]) == ROUTES
    for path, methods in made["paths"].items():
        for operation in methods.values():
            assert operation["description"], path
            assert operation["tags"], path
    text = json.dumps(made)
    for name in set(json.loads(text)["components"]["schemas"]):
        assert f"#/components/schemas/{name}" in text, name
    listing = made["components"]["schemas"]["Listing"]
    assert listing["additionalProperties"] is False
    assert listing["properties"]["house_size"]["description"] == "Living area in square feet"


def test_every_reference_leads_somewhere() -> None:
    made = document()
    known = {f"#/components/schemas/{name}" for name in made["components"]["schemas"]}

    def references(value: Any) -> set[str]:
        if isinstance(value, dict):
            own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
            return own.union(*map(references, value.values()))
        return set().union(*map(references, value)) if isinstance(value, list) else set()

    assert references(made) <= known


def test_schemathesis_finds_nothing(served: Served, tmp_path: Path) -> None:
    program = str(Path(sys.executable).with_name("schemathesis"))
    (tmp_path / "hooks.py").write_text(HOOKS)
    done = subprocess.run(
        [program, "run", f"{served.service.url}/openapi.json", "--checks", "all", "--max-examples", "15", "--seed", "1",
         "--header", f"Authorization: Bearer {TOKEN}", "--request-timeout", "20", "--no-color", "--workers", "1",
         "--generation-database", "none"],
        cwd=tmp_path, env={"PATH": "", "HOME": str(tmp_path), "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": "."},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


# Dates have bounds, and a schema has no words for those of a date.
HOOKS = """
import datetime
import schemathesis
from hypothesis import strategies as st

days = st.dates(datetime.date(1800, 1, 1), datetime.date(2100, 1, 1))
schemathesis.openapi.format("date", days.map(str))
"""
