"""Argo CD in the cluster, our Applications in it, and what they ask for: a repository, chart repositories, Secrets.

The names are the real ones, so this takes a cluster in which nobody else has an Argo CD or this system.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from local.cluster_secrets import NAMESPACES, manifests
from local.image_builders import Builder
from tests.argocd.deployment import ARGOCD, REPOSITORY, documents
from tests.argocd.rendering import containers, pod_of
from tests.cluster import images
from tests.cluster.access import Cluster
from tests.cluster.argocd_build import Argo
from tests.cluster.repository import Repository
from tests.cluster.world import provide_volume, remove_labelled, stand_in
from tests.servers import certificate

NAMESPACE: Final = "argocd"
SERVICES: Final = "appraiser"
# A key of its own: Argo CD finds its settings by app.kubernetes.io/part-of.
LABELS: Final = {"appraiser-test": "argocd"}
IMAGE: Final = "localhost/appraiser-argocd:dev"
_OURS: Final = [NAMESPACE, *(one["metadata"]["name"] for one in documents(NAMESPACES.read_text()))]
_SELECTOR: Final = ",".join(f"{key}={value}" for key, value in LABELS.items())
_HERE: Final = Path(__file__).parent / "images" / "argocd"
_READY_SECONDS: Final = 180
(PROJECT,) = documents((ARGOCD / "project.yaml").read_text())
HOSTS: Final = sorted({str(urlsplit(url).hostname) for url in PROJECT["spec"]["sourceRepos"]})


def build(by: Builder, argo: Argo, helm: Path, environment: Mapping[str, str]) -> str:
    """Build the image that stands for Argo CD's and redis' and for the servers it asks; return its name."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "programs").mkdir()
        shutil.copy(_HERE / "Dockerfile", folder)
        for program, name in ((argo.program, "argocd"), (helm, "helm"), (_HERE / "serve-sources", "serve-sources")):
            shutil.copy(program, folder / "programs" / name)
        images.build_in(by, IMAGE, folder, environment)
    return IMAGE


@contextmanager
def running(
    cluster: Cluster, argo: Argo, image: str, charts: Mapping[str, Mapping[str, str]], folder: Path
) -> Iterator[Repository]:
    """Run Argo CD's core, the Secrets applied, and give the repository it follows; remove everything in the end.

    `charts` holds each chart repository's files as base64, by address and name.
    """
    remove(cluster)
    refuse_what_is_not_ours(cluster)
    try:
        for name in _OURS:
            # Before anybody else makes them: by the label they are known as the test's.
            cluster.kubectl("create", "namespace", name)
            cluster.kubectl("label", "namespace", name, *_SELECTOR.split(","))
        (folder / "volume").mkdir()
        provide_volume(cluster, folder / "volume", SERVICES, "state-serving-0", LABELS)
        cluster.kubectl("apply", "--filename=-", stdin=manifests())
        trusted = certificate(folder, *(f"DNS:{host}" for host in HOSTS))
        _apply(cluster, _sources(image, charts, folder))
        address = cluster.get("service", "sources", f"--namespace={NAMESPACE}")["spec"]["clusterIP"]
        _apply(cluster, _core(argo.core, image, address, trusted))
        cluster.kubectl("wait", "--for=condition=Established", "crd", "--selector", _SELECTOR, "--timeout=60s")
        _wait(cluster, "deployment/sources")
        repository = Repository(cluster, NAMESPACE, f"/repositories{urlsplit(REPOSITORY).path}.git", folder / "clone")
        _wait(cluster, "deployment/argocd-repo-server", "statefulset/argocd-application-controller")
        # What Argo CD's API server would make, which the core installation has not: the project `default`, and a key
        # without which the controller takes in no change of argocd-cm while it runs.
        command(cluster, argo, folder, "app", "list")
        yield repository
    finally:
        remove(cluster)


def refuse_what_is_not_ours(cluster: Cluster) -> None:
    """Raise AssertionError where an Argo CD or this system is there that is not the test's own."""
    there = cluster.kubectl("get", "namespaces", *_OURS, "--ignore-not-found", "--output=name").split()
    definitions = cluster.kubectl("get", "customresourcedefinitions", "--output=name").split()
    there += [name for name in definitions if name.endswith(".argoproj.io")]
    assert not there, f"{', '.join(there)}: already there, and the test would remove it; give it a cluster of its own"


def remove(cluster: Cluster) -> None:
    """Remove what carries the test's label, a killed run's too, and wait until it is gone."""
    # Argo CD first: it would heal what is taken from it.
    remove_labelled(cluster, f"{_SELECTOR},kubernetes.io/metadata.name={NAMESPACE}")
    remove_labelled(cluster, _SELECTOR, "customresourcedefinitions,clusterroles,clusterrolebindings")


def _apply(cluster: Cluster, objects: list[dict[str, Any]]) -> None:
    stream = yaml.dump_all(objects, Dumper=yaml.CSafeDumper)
    cluster.kubectl("apply", "--server-side", f"--namespace={NAMESPACE}", "--filename=-", stdin=stream)


def _wait(cluster: Cluster, *names: str) -> None:
    for name in names:
        cluster.kubectl(
            "rollout", "status", name, f"--namespace={NAMESPACE}", f"--timeout={_READY_SECONDS}s",
            seconds=_READY_SECONDS + 10,
        )  # fmt: skip


def _sources(image: str, charts: Mapping[str, Mapping[str, str]], folder: Path) -> list[dict[str, Any]]:
    """Return the server that plays GitHub and the chart repositories."""
    objects = stand_in("sources", {"image": image, "repository": urlsplit(REPOSITORY).path.lstrip("/")})
    pod = pod_of(objects[-1])
    assert pod is not None
    for number, (address, files) in enumerate(charts.items()):
        name, where = f"charts-{number}", urlsplit(address)
        objects.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "binaryData": dict(files)})
        pod["volumes"].append({"name": name, "configMap": {"name": name}})
        place = f"/charts/{where.hostname}{where.path}".rstrip("/")
        pod["containers"][0]["volumeMounts"].append({"name": name, "mountPath": place})
    pair = {name: (folder / name).read_text() for name in ("tls.crt", "tls.key")}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "sources-tls"}, "type": "kubernetes.io/tls"}
    return [{**secret, "stringData": pair}, *objects]


def _core(core: Path, image: str, address: str, trusted: str) -> list[dict[str, Any]]:
    """Return the core installation with our image, for which all hosts are at one address that it trusts."""
    objects = documents(core.read_text())
    for one in objects:
        one["metadata"]["labels"] |= LABELS
        for container in containers(one):
            container |= {"image": image, "imagePullPolicy": "IfNotPresent"}
            if container["name"] == "redis":
                # The official image's entry point.
                container["command"] = ["redis-server"]
        if one["metadata"]["name"] == "argocd-repo-server" and (pod := pod_of(one)):
            pod["hostAliases"] = [{"ip": address, "hostnames": HOSTS}]
        if one["metadata"]["name"] == "argocd-tls-certs-cm":
            one["data"] = dict.fromkeys(HOSTS, trusted)
    return objects


def command(cluster: Cluster, argo: Argo, folder: Path, *arguments: str) -> str:
    """Run Argo CD's command line on its core installation, and return what it prints."""
    kubeconfig = folder / "kubeconfig"
    shutil.copy(cluster.kubeconfig, kubeconfig)
    replace(cluster, kubeconfig=kubeconfig).kubectl("config", "set-context", "--current", f"--namespace={NAMESPACE}")
    environment = {"ARGOCD_BINARY_NAME": "argocd", "KUBECONFIG": str(kubeconfig), "HOME": str(folder)}
    done = subprocess.run(
        [argo.program, *arguments, "--core"], env={"PATH": os.defpath, **environment}, check=False,
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def applications(cluster: Cluster) -> dict[str, dict[str, Any]]:
    """Return every Application by its name."""
    found = cluster.get("applications.argoproj.io", f"--namespace={NAMESPACE}")["items"]
    return {one["metadata"]["name"]: one for one in found}


def state(application: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return what Argo CD says of an Application: its health, whether it is as in Git, how its last sync ended."""
    status = application.get("status", {})
    words = (status.get(part, {}).get(key, "") for part, key in (("health", "status"), ("sync", "status")))
    health, sync = words
    return str(health), str(sync), str(status.get("operationState", {}).get("phase", ""))


def refresh(cluster: Cluster, *names: str) -> None:
    """Have Argo CD look at Git now instead of within three minutes."""
    cluster.kubectl(
        "annotate", "applications.argoproj.io", *names, f"--namespace={NAMESPACE}", "--overwrite",
        "argocd.argoproj.io/refresh=normal",
    )  # fmt: skip


def diagnosis(cluster: Cluster) -> str:
    """Return what there is to see, for a failure."""
    seen = []
    for name, one in applications(cluster).items():
        status = one.get("status", {})
        said = [condition["message"] for condition in status.get("conditions", [])]
        seen.append(f"{name}: {state(one)} {said} {status.get('operationState', {}).get('message', '')}")
    for namespace in _OURS:
        seen.append(cluster.kubectl("get", "pods,jobs", f"--namespace={namespace}", check=False))
        events = ("get", "events", "--field-selector=type!=Normal", f"--namespace={namespace}")
        seen.append(cluster.kubectl(*events, check=False)[-3000:])
    return "\n".join(seen)
