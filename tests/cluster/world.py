"""The namespaces of a test, what stands in them beside the system under test, and our chart's releases."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any, Final

import yaml

from local.cluster_secrets import describe, make_values, manifest
from tests.argocd.deployment import ARGOCD, VALUES, documents, values
from tests.cluster.access import Cluster

NAMESPACE: Final = "appraiser-test"
STEPS_NAMESPACE: Final = "appraiser-test-steps"
POSTGRES: Final = ("postgres-raw", "postgres-clean", "postgres-mlflow", "postgres-airflow")
SOURCE_SCALE: Final = 0.4
_OURS: Final = {"app.kubernetes.io/part-of": "appraiser-cluster-test"}
_SELECTOR: Final = ",".join(f"{key}={value}" for key, value in _OURS.items())
_MANIFESTS: Final = Path(__file__).with_name("manifests")
_NAMESPACES: Final = {"appraiser": NAMESPACE, "appraiser-steps": STEPS_NAMESPACE}
_READY_SECONDS: Final = 180
_GONE_SECONDS: Final = 180


@dataclass(frozen=True)
class World:
    """Two namespaces on a cluster; `images` are the images' names with digests, `helm` is the program."""

    cluster: Cluster
    images: Mapping[str, str]
    helm: Path
    secrets: Mapping[str, Mapping[str, str]] = field(repr=False)

    def kubectl(self, *arguments: str, **how: Any) -> str:
        """Return what kubectl says of the namespace of services."""
        return self.cluster.kubectl(f"--namespace={NAMESPACE}", *arguments, **how)

    def pods(self, **labels: str) -> list[dict[str, Any]]:
        """Return the step pods with these labels, the oldest first."""
        selector = ",".join(f"{key}={value}" for key, value in {"app": "appraiser", **labels}.items())
        found = self.cluster.get("pods", f"--namespace={STEPS_NAMESPACE}", f"--selector={selector}")["items"]
        return sorted(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    def query(self, server: str, database: str, statement: str) -> list[dict[str, Any]]:
        """Return what a database answers to its superuser."""
        wrapped = f"SELECT coalesce(json_agg(found), '[]') FROM ({statement}) AS found"  # noqa: S608  the test's own
        return list(json.loads(self.execute(server, database, wrapped)))

    def execute(self, server: str, database: str, statement: str) -> str:
        """Have a database's superuser do something."""
        command = ["psql", "-U", "postgres", "-d", database, "-v", "ON_ERROR_STOP=1", "-Atqc", statement]
        return self.kubectl("exec", f"deployment/{server}", "--", *command)

    def diagnosis(self) -> str:
        """Return what there is to see of the pods, for a failure."""
        seen = [self.kubectl("get", "pods,jobs", "--output=wide", check=False)]
        seen.append(self.kubectl("get", "events", "--field-selector=type!=Normal", check=False)[-3000:])
        for pod in self.kubectl("get", "pods", "--output=name", check=False).split():
            said = self.kubectl("logs", pod, "--all-containers", "--tail=15", check=False)
            seen.append(f"{pod}\n{said}")
        return "\n".join(seen)

    def start(self, *stand_ins: tuple[str, Mapping[str, str]]) -> None:
        """Start what stands beside the system, each from its manifest's name and words, and wait until it serves."""
        names = []
        for name, words in stand_ins:
            objects = stand_in(name, words)
            self.kubectl("apply", "--filename=-", stdin=yaml.safe_dump_all(objects))
            names.append(objects[-1]["metadata"]["name"])
        for name in names:
            self.kubectl(
                "rollout", "status", f"deployment/{name}", f"--timeout={_READY_SECONDS}s", seconds=_READY_SECONDS + 10
            )

    def rendered(self, release: str) -> str:
        """Return a release's manifests with our values."""
        return self._helm("template", release)

    def install(self, release: str) -> None:
        """Install a release of our chart and wait until it is ready."""
        self._helm("install", release, "--wait", f"--timeout={_READY_SECONDS}s")

    def _here(self, release: str) -> dict[str, Any]:
        """Return in what a release's values differ here: digests, and the test's namespaces instead of the usual."""
        with_digest = self.images[{"migrations": "fetch"}.get(release, release)]
        given: dict[str, Any] = {"image": {"digest": with_digest.partition("@")[2]}}
        if release == "migrations":
            launchers = [{"name": f"airflow-{part}", "namespace": NAMESPACE} for part in ("scheduler", "triggerer")]
            settings = {"mlflow_url": f"http://mlflow.{NAMESPACE}.svc:5000"}
            # All that a person fills in; the source's identity follows from it.
            settings |= {"source_url": f"http://source.{NAMESPACE}.svc:8000"}
            given["steps"] = {"namespace": STEPS_NAMESPACE, "launchers": launchers, "settings": settings}
        if release == "serving":
            given["serving"] = {"settings": {"mlflow_url": f"http://mlflow.{NAMESPACE}.svc:5000", "poll_seconds": 2}}
        return given

    def _helm(self, verb: str, release: str, *options: str) -> str:
        done = subprocess.run(
            [self.helm, verb, release, ARGOCD / "chart", f"--namespace={NAMESPACE}", *options,
             f"--kubeconfig={self.cluster.kubeconfig}", f"--values={VALUES / f'{release}.yaml'}", "--values=-"],
            input=yaml.safe_dump(self._here(release)),
            capture_output=True, text=True, check=False, timeout=_READY_SECONDS + 60,
        )  # fmt: skip
        assert done.returncode == 0, f"helm {verb} {release}: {done.stderr[-2000:]}\n{self.diagnosis()}"
        return done.stdout


def stand_in(name: str, words: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the objects of a manifest of this folder with its words filled in, the Deployment last."""
    objects = documents(Template((_MANIFESTS / f"{name}.yaml").read_text()).substitute(words))
    if name == "mlflow":
        _as_in_values(objects[-1])
    return objects


def _as_in_values(deployment: dict[str, Any]) -> None:
    ours = values("mlflow")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["env"] += [{"name": name, "value": str(value)} for name, value in ours["extraEnvVars"].items()]
    container["resources"] = ours["resources"]


def allowed_hosts() -> str:
    """Return by which names MLflow may be called, as in our values."""
    return ",".join(values("mlflow")["serverAllowedHosts"]).replace(".appraiser", f".{NAMESPACE}")


@contextmanager
def made(cluster: Cluster, images: Mapping[str, str], helm: Path) -> Iterator[World]:
    """Make the namespaces, restricted, with the Secrets `make secrets` would make; take away all of it in the end."""
    remove(cluster)
    volumes = tempfile.TemporaryDirectory(prefix="appraiser-volumes-")
    try:
        cluster.kubectl("apply", "--filename=-", stdin=yaml.safe_dump_all(map(_namespace, _NAMESPACES.values())))
        secrets = _secrets()
        cluster.kubectl("apply", "--filename=-", stdin=yaml.safe_dump_all(secrets))
        provide_volume(cluster, Path(volumes.name), NAMESPACE, "state-serving-0", _OURS)
        yield World(cluster, images, helm, {one["metadata"]["name"]: one["stringData"] for one in secrets})
    finally:
        remove(cluster)
        volumes.cleanup()


def remove(cluster: Cluster) -> None:
    """Remove what carries the test's label, a killed run's too, and wait until it is gone."""
    remove_labelled(cluster, _SELECTOR)


def remove_labelled(cluster: Cluster, selector: str, *kinds: str) -> None:
    """Remove namespaces and volumes with these labels, and objects of other kinds that are in no namespace."""
    selected = f"--selector={selector}"
    cluster.kubectl("delete", "namespaces", selected, "--ignore-not-found", "--wait=false")
    names = [one["metadata"]["name"] for one in cluster.get("namespaces", selected)["items"]]
    for name in names:
        # Nobody waits for them: a pod may take two minutes to leave.
        cluster.kubectl("delete", "pods", "--all", f"--namespace={name}", "--grace-period=1", "--wait=false")
    cluster.kubectl(
        "delete", ",".join(["namespaces", "persistentvolumes", *kinds]), selected, "--ignore-not-found",
        f"--timeout={_GONE_SECONDS}s", seconds=_GONE_SECONDS + 10,
    )  # fmt: skip


def _namespace(name: str) -> dict[str, Any]:
    labels = {**_OURS, "pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _secrets() -> list[dict[str, Any]]:
    """Return every described Secret of the two namespaces, with addresses that lead to the test's own."""
    description = describe()
    random = make_values(description["random"])
    here = [secret for secret in description["secrets"] if secret["namespace"] in _NAMESPACES]
    found = [manifest(secret, random) for secret in here]
    for one in found:
        one["metadata"]["namespace"] = _NAMESPACES[one["metadata"]["namespace"]]
        one["stringData"] = {
            key: text.replace(".appraiser.svc", f".{NAMESPACE}.svc") for key, text in one["stringData"].items()
        }
    return found


def provide_volume(cluster: Cluster, folder: Path, namespace: str, claim: str, labels: Mapping[str, str]) -> None:
    """Make the volume of a claim, where nobody else would, in a folder of this machine; it has to be the node then."""
    default = "storageclass.kubernetes.io/is-default-class"
    classes = cluster.get("storageclasses")["items"]
    if not any(one["metadata"].get("annotations", {}).get(default) == "true" for one in classes):
        folder.chmod(0o755)
        (node,) = cluster.get("nodes")["items"]
        volume = _volume(folder, node["metadata"]["name"], {"namespace": namespace, "name": claim}, labels)
        cluster.kubectl("apply", "--filename=-", stdin=yaml.safe_dump(volume))


def _volume(folder: Path, node: str, claim: Mapping[str, str], labels: Mapping[str, str]) -> dict[str, Any]:
    where = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{claim['namespace']}-{claim['name']}", "labels": dict(labels)},
        "spec": {
            "capacity": {"storage": "4Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": dict(claim),
            "local": {"path": str(folder)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [where]}]}},
        },
    }
