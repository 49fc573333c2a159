"""Schemas of Kubernetes' objects for kubeconform, made from what Kubernetes and the rendered charts say of themselves.

Kubernetes publishes its description in its own Go module, which a proxy of modules has everywhere; of a chart's own
kinds the rendered definitions tell. A field that is not described is refused.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from tests.argocd.rendering import PULLED

KUBERNETES: Final = "1.34.4"
_SECONDS: Final = 600
_REFERENCE: Final = "#/definitions/"


def describe_kubernetes() -> dict[str, Any]:
    """Return Kubernetes' description of its API; its module is downloaded once, and only this file of it is kept."""
    kept = PULLED / f"kubernetes-{KUBERNETES}.json"
    if not kept.exists():
        PULLED.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory() as cache:
            done = subprocess.run(
                ["go", "mod", "download", "-json", f"k8s.io/kubernetes@v{KUBERNETES}"],
                env={**os.environ, "GOMODCACHE": cache, "GOFLAGS": "-modcacherw"}, capture_output=True, text=True,
                check=True, timeout=_SECONDS,
            )  # fmt: skip
            swagger = Path(json.loads(done.stdout)["Dir"]) / "api/openapi-spec/swagger.json"
            draft = kept.with_suffix(".draft")
            draft.write_bytes(swagger.read_bytes())
        draft.rename(kept)
    description: dict[str, Any] = json.loads(kept.read_text())
    return description


def write_schemas(folder: Path, definitions: Iterable[dict[str, Any]]) -> None:
    """Write a schema for every kind of Kubernetes and of these CustomResourceDefinitions, as kubeconform names them."""
    described = {name: strict(one) for name, one in describe_kubernetes()["definitions"].items()}
    for name, one in described.items():
        for kind in one.get("x-kubernetes-group-version-kind", []):
            wanted = reached(name, described)
            schema = {"$ref": f"{_REFERENCE}{name}", "definitions": {each: described[each] for each in wanted}}
            _write(folder, kind["kind"], kind["group"], kind["version"], schema)
    for one in definitions:
        for version in one["spec"]["versions"]:
            schema = strict(version["schema"]["openAPIV3Schema"])
            _write(folder, one["spec"]["names"]["kind"], one["spec"]["group"], version["name"], schema)


def _write(folder: Path, kind: str, group: str, version: str, schema: dict[str, Any]) -> None:
    parts = [kind, *([group.split(".", maxsplit=1)[0]] if group else []), version]
    (folder / f"{'-'.join(parts).lower()}.json").write_text(json.dumps(schema))


def reached(name: str, described: dict[str, Any]) -> set[str]:
    """Return a definition and all that it refers to, directly or not."""
    found, waiting = set[str](), [name]
    while waiting:
        if (one := waiting.pop()) not in found:
            found.add(one)
            text = json.dumps(described[one])
            waiting += [part.split('"')[0] for part in text.split(f'"{_REFERENCE}')[1:]]
    return found


def strict(schema: Any) -> Any:
    """Return a schema in which an object has no fields but those it names."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: strict(value) for key, value in schema.items()}
    if isinstance(found.get("properties"), dict) and not found.get("x-kubernetes-preserve-unknown-fields"):
        found.setdefault("additionalProperties", False)
        if "kind" in found["properties"]:
            # Every object has these; a definition of one's own may leave them out.
            found["properties"] = {"apiVersion": {}, "metadata": {}, **found["properties"]}
    if found.get("x-kubernetes-int-or-string") or found.get("format") == "int-or-string":
        return {"type": ["string", "integer"]}
    return found
