"""Charts that stand for third parties': of their names and versions, real charts, but with next to nothing in them.

Each release keeps the values it was given in a ConfigMap, whose name ends in their hash as kustomize's do: when a value
changes there is a new one, and the old one is what pruning is about.
"""

from __future__ import annotations

import base64
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from tests.argocd.deployment import APPLICATIONS, OURS, application
from tests.cluster.world import stand_in

THIRD_PARTIES: Final = tuple(name for name in APPLICATIONS if name not in OURS)
GIVEN: Final = "appraiser-test/values-of"
_RELEASE: Final = "{{ .Release.Name }}"
_SECONDS: Final = 60


def source_of(name: str) -> tuple[str, str, str]:
    """Return a third party's chart repository, and its chart and version there."""
    source = application(name)["spec"]["sources"][0]
    return str(source["repoURL"]), str(source["chart"]), str(source["targetRevision"])


def archives(helm: Path, images: Mapping[str, str], labels: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the files of each chart repository, by its address and their names, as base64.

    Objects without a namespace carry the labels.
    """
    found: dict[str, dict[str, str]] = {}
    for repository, chart, version in dict.fromkeys(map(source_of, THIRD_PARTIES)):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            _write(folder / chart, version, _objects(chart, images, labels))
            for arguments in (["package", chart], ["repo", "index", "."]):
                subprocess.run(
                    [helm, *arguments], cwd=folder, check=True, capture_output=True, timeout=_SECONDS
                )  # fmt: skip
            files = [path for path in folder.iterdir() if path.is_file()]
            # Two charts of one repository would need one index.
            assert repository not in found
            found[repository] = {path.name: base64.b64encode(path.read_bytes()).decode() for path in files}
    return found


def _objects(chart: str, images: Mapping[str, str], labels: Mapping[str, str]) -> list[dict[str, Any]]:
    beside = {"name": _RELEASE, "image": images["stand-ins"]}
    if chart == "postgres":
        return stand_in("postgres", beside)
    if chart == "seaweedfs":
        return stand_in("bucket", beside)
    if chart == "mlflow":
        hosts = "{{ join `,` .Values.serverAllowedHosts }}"
        return stand_in("mlflow", {"image": images["registry"], "hosts": hosts})
    idle = stand_in("idle", beside)
    if chart == "kube-prometheus-stack":
        definitions = stand_in("definitions", {})
        for one in definitions:
            one["metadata"]["labels"] = dict(labels)
        return [*definitions, *idle]
    return idle


def _write(folder: Path, version: str, objects: list[dict[str, Any]]) -> None:
    """Write a chart whose templates are objects, some of whose texts are expressions of Helm's."""
    (folder / "templates").mkdir(parents=True)
    about = {
        "apiVersion": "v2",
        "name": folder.name,
        "version": version,
        "description": "stands for the chart of its name",
    }
    (folder / "Chart.yaml").write_text(yaml.safe_dump(about))
    (folder / "templates" / "objects.yaml").write_text(yaml.safe_dump_all(objects, width=1000))
    (folder / "templates" / "values.yaml").write_text(_VALUES)


_VALUES: Final = f"""\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{{{ .Release.Name }}}}-values-{{{{ toYaml .Values | sha256sum | trunc 8 }}}}
  labels: {{{GIVEN}: {{{{ .Release.Name }}}}}}
data:
  values: {{{{ toJson .Values | quote }}}}
"""
