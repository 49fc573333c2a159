"""Charts rendered with our values, as Argo CD renders them, for the tests marked `charts`.

Third parties' charts are pulled once into .charts, or taken from the folder CHARTS names, which holds each as a folder
by its chart's name. Where neither can be had the test is skipped with the command that helps; in CI it fails.
"""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from tests.argocd.deployment import ARGOCD, OURS, VALUES, application, documents
from tests.servers import ROOT

PULLED: Final = ROOT / ".charts"
# Nothing has been pushed yet, so no digest exists; what a cluster on one machine sets.
TAGS: Final = ("--set", "image.tag=dev,image.allowTag=true")
# What the cluster knows once the monitoring stack's definitions are there.
_KNOWN: Final = ("--api-versions", "monitoring.coreos.com/v1", "--kube-version", "1.34.0")
_PULL_SECONDS: Final = 60


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run helm; its exit status is the caller's."""
    return subprocess.run(["helm", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


@cache
def chart_of(name: str) -> Path:
    """Return where a release's chart is; skip the test where it cannot be had."""
    if name in OURS:
        return ARGOCD / "chart"
    source = application(name)["spec"]["sources"][0]
    chart, version = str(source["chart"]), str(source["targetRevision"])
    if folder := os.environ.get("CHARTS"):
        return Path(folder).resolve() / chart
    pulled = PULLED / f"{chart}-{version}.tgz"
    if not pulled.exists():
        PULLED.mkdir(exist_ok=True)
        done = helm("pull", chart, "--repo", source["repoURL"], "--version", version, "--destination", str(PULLED))
        if done.returncode:
            why = f"{chart} {version} cannot be pulled from {source['repoURL']}: CHARTS=<folder of charts> make charts"
            (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
    return pulled


def render(name: str, *options: str) -> list[dict[str, Any]]:
    """Return the objects of a release with our values and some more options; fail with helm's own words."""
    namespace = application(name)["spec"]["destination"]["namespace"]
    done = helm(
        "template", name, str(chart_of(name)), "--namespace", namespace, "--include-crds",
        "--values", str(VALUES / f"{name}.yaml"), *_KNOWN, *(TAGS if name in OURS else ()), *options,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    objects = documents(done.stdout)
    for one in objects:
        one["metadata"].setdefault("namespace", namespace)
    return objects


@cache
def rendered(name: str) -> list[dict[str, Any]]:
    """Return the objects of a release with our values; not to be changed."""
    return render(name)


def template_of(one: dict[str, Any]) -> dict[str, Any] | None:
    """Return the pod that an object starts, with its labels; None for one that starts none."""
    spec = one.get("spec") or {}
    if one["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    elif one["kind"] not in ("Deployment", "StatefulSet", "DaemonSet", "Job"):
        return None
    template: dict[str, Any] = spec["template"]
    return template


def pod_of(one: dict[str, Any]) -> dict[str, Any] | None:
    """Return what the pod that an object starts consists of, None for one that starts none."""
    template = template_of(one)
    return template["spec"] if template else None


def containers(one: dict[str, Any], *kinds: str) -> list[dict[str, Any]]:
    """Return the containers of the pod that an object starts, of these kinds (`containers`, `initContainers`)."""
    pod = pod_of(one) or {}
    return [container for kind in kinds or ("initContainers", "containers") for container in pod.get(kind) or []]


def references(value: Any) -> set[tuple[str, str | None]]:
    """Return the Secrets and keys a part of an object refers to; the key is None where the whole is mounted."""
    found: set[tuple[str, str | None]] = set()
    if isinstance(value, dict):
        if isinstance(reference := value.get("secretKeyRef"), dict):
            found.add((reference["name"], reference["key"]))
        if isinstance(reference := value.get("secretRef"), dict):
            found.add((reference["name"], None))
        if isinstance(secret := value.get("secret"), dict) and "secretName" in secret:
            found.add((secret["secretName"], None))
        return found.union(*map(references, value.values()))
    if isinstance(value, list):
        return found.union(*map(references, value))
    return found
