"""Every rendered object is one that Kubernetes and the installed definitions describe, field by field."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.argocd.deployment import APPLICATIONS, ARGOCD, OURS, documents
from tests.argocd.rendering import rendered
from tests.argocd.schemas import write_schemas

pytestmark = pytest.mark.charts


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("schemas")
    write_schemas(folder, [one for one in rendered("monitoring") if one["kind"] == "CustomResourceDefinition"])
    return folder


def without_nulls(value: Any) -> Any:
    """Return an object as the API server takes it, which overlooks a field that is null."""
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


def conform(objects: list[dict[str, Any]], schemas: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["kubeconform", "-summary", "-schema-location", f"{schemas}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"],
        input=yaml.safe_dump_all(objects), capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


@pytest.mark.parametrize("name", APPLICATIONS)
def test_every_object_is_as_its_schema_says(name: str, schemas: Path) -> None:
    objects = [one for one in rendered(name) if one["kind"] != "CustomResourceDefinition"]
    # A null of our own would be a slip.
    done = conform(objects if name in OURS else without_nulls(objects), schemas)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_namespaces_are_as_their_schema_says(schemas: Path) -> None:
    done = conform(documents((ARGOCD / "namespaces.yaml").read_text()), schemas)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("kind", "change"),
    [("Service", {"spec": {"prots": []}}), ("ServiceMonitor", {"spec": {"endpoint": []}}), ("Service", {"specs": {}})],
)
def test_a_field_that_nobody_described_is_refused(kind: str, change: dict[str, Any], schemas: Path) -> None:
    (found,) = (one for one in rendered("serving") if one["kind"] == kind)
    done = conform([{**found, **change}], schemas)
    assert done.returncode == 1
    assert "additional" in done.stdout
