"""When an Application counts as healthy, by the rule's own Lua in the interpreter that Argo CD has inside.

What is not healthy keeps the next wave from starting.
"""

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from tests.argocd.deployment import ARGOCD, documents

pytestmark = pytest.mark.charts
(SETTINGS,) = documents((ARGOCD / "argocd-cm.yaml").read_text())
RULE: Final = SETTINGS["data"]["resource.customizations.health.argoproj.io_Application"]
WELL: Final = {"health": {"status": "Healthy"}, "sync": {"status": "Synced"}}
NEW: Final = {"health": {"status": "Healthy"}, "sync": {"status": "OutOfSync"}}
ILL: Final = {"health": {"status": "Degraded", "message": "a pod crashes"}}
MISSING: Final = {"health": {"status": "Missing"}, "sync": {"status": "OutOfSync"}}


def operation(phase: str, message: str = "what the operation said") -> dict[str, Any]:
    return {"operationState": {"phase": phase, "message": message}}


@pytest.mark.parametrize(
    ("status", "health", "message"),
    [
        (None, "Progressing", "nothing is known of it yet"),
        ({}, "Progressing", "nothing is known of it yet"),
        ({"health": {}}, "Progressing", "nothing is known of it yet"),
        ({**WELL, **operation("Succeeded")}, "Healthy", ""),
        (WELL, "Healthy", ""),
        (NEW, "Progressing", "not synced yet"),
        # Somebody changed an object by hand; the sync that heals it is about to start.
        ({**NEW, **operation("Succeeded")}, "Healthy", ""),
        ({**WELL, **operation("Running")}, "Progressing", "a sync is running"),
        ({**WELL, **operation("Terminating")}, "Progressing", "a sync is running"),
        # A migration is a hook and no part of the Application: with it failed all the parts are healthy and synced.
        ({**WELL, **operation("Failed")}, "Degraded", "what the operation said"),
        ({**WELL, **operation("Error")}, "Degraded", "what the operation said"),
        ({**MISSING, **operation("Failed")}, "Degraded", "what the operation said"),
        (operation("Error"), "Degraded", "what the operation said"),
        ({**WELL, "operationState": {"phase": "Failed"}}, "Degraded", "the last sync failed"),
        ({**ILL, **operation("Succeeded")}, "Degraded", "a pod crashes"),
        ({**ILL, **operation("Running")}, "Degraded", "a pod crashes"),
        ({**MISSING, **operation("Running")}, "Missing", ""),
    ],
)
def test_an_application_is_healthy_once_it_has_been_brought_to_what_git_says(
    status: dict[str, Any] | None, health: str, message: str, tmp_path: Path
) -> None:
    program = tmp_path / "health.lua"
    program.write_text(
        f"obj = {lua({} if status is None else {'status': status})}\n"
        f"local function health()\n{RULE}\nend\n"
        "local found = health()\nprint(found.status)\nprint(found.message)\n"
    )
    done = subprocess.run(["glua", str(program)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stdout.split("\n", maxsplit=1) == [health, f"{message}\n"]


def lua(value: Any) -> str:
    """Return a value as Lua writes it; text that is plain is written as in JSON."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"[{lua(key)}] = {lua(inner)}" for key, inner in value.items()) + "}"
    return json.dumps(value)


def test_the_rule_is_in_the_settings_argo_cd_reads() -> None:
    assert SETTINGS["metadata"]["name"] == "argocd-cm"
    # Argo CD leaves a ConfigMap without this label alone.
    assert SETTINGS["metadata"]["labels"]["app.kubernetes.io/part-of"] == "argocd"
