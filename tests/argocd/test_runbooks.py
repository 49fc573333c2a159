"""The commands of the runbooks and of the README name what the cluster has: objects, pods, labels."""

import re
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.argocd.deployment import APPLICATIONS, ARGOCD
from tests.argocd.rendering import rendered, template_of
from tests.servers import ROOT

pytestmark = pytest.mark.charts
TEXTS: Final = (ARGOCD / "monitoring" / "alerts.yaml", ROOT / "README.md")
# Step pods are made by Airflow; tests/dags says what labels they have.
COMMANDS: Final = [
    pytest.param(namespace, command, id=f"{path.stem}: {command}")
    for path in TEXTS
    for namespace, command in dict.fromkeys(
        re.findall(r"kubectl -n (appraiser|monitoring) ([^|`\n]*[^|`\n ])", path.read_text())
    )
    if re.search(r"[a-z]/[a-z]|-0\b|-l ", command)
]
KINDS: Final = {"deploy": "Deployment", "statefulset": "StatefulSet", "svc": "Service", "job": "Job"}
LABEL: Final = re.compile(r"-l ([\w./-]+)=([\w.-]+)")


def objects(namespace: str) -> Iterator[dict[str, Any]]:
    """Yield what the releases put into a namespace."""
    for name in APPLICATIONS:
        yield from (one for one in rendered(name) if one["metadata"]["namespace"] == namespace)


@pytest.mark.parametrize(("namespace", "command"), COMMANDS)
def test_a_command_finds_what_it_names(namespace: str, command: str) -> None:
    there = {(one["kind"], one["metadata"]["name"]) for one in objects(namespace)}
    own = command.partition(" -- ")[0]
    for kind, name in re.findall(r"\b([a-z]+)/([a-z][\w-]*)", LABEL.sub("", own)):
        assert (KINDS[kind], name) in there
    for name in re.findall(r"(?:exec|pod|logs) ([a-z][\w-]*)-0(?: |$)", own):
        assert ("StatefulSet", name) in there
    labels = [template["metadata"]["labels"] for one in objects(namespace) if (template := template_of(one))]
    for key, value in LABEL.findall(own):
        assert value in {one.get(key) for one in labels}
