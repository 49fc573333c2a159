"""What a pod may ask for here: checks a pod object and fills in what a Kubernetes API server would.

What this runner cannot give is refused when the pod is created, not left out silently: more than one container, init
containers, restarts, volumes other than an empty /tmp (a pod has a temporary directory of its own, in TMPDIR).
Security contexts, CPU limits, service accounts and scheduling are accepted and mean nothing here.
"""

from __future__ import annotations

import copy
import re
import secrets
import uuid
from datetime import datetime
from decimal import Decimal
from typing import Any

type Object = dict[str, Any]

NAMESPACE = "appraiser"
NODE = "localhost"
DEFAULT_GRACE_SECONDS = 30
_LONGEST_NAME = 253
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_LABEL_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_QUANTITY = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(?:([eE][-+]?\d+)|(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei))?")
_SUFFIX: dict[str, int | Decimal] = {
    "m": Decimal("0.001"), "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60,
}  # fmt: skip
_VALUE_SOURCES = {"secretKeyRef", "configMapKeyRef", "fieldRef"}


class PodInvalid(ValueError):
    """A pod object breaks a rule of Kubernetes, or asks for what is not given here; the sentence names the field."""


def timestamp(moment: datetime) -> str:
    """Write a moment in UTC as Kubernetes objects have it: RFC 3339, whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def admit(body: Object, moment: datetime) -> Object:
    """Return the pod as it is stored: checked, named, with the defaults; raise PodInvalid."""
    pod = copy.deepcopy(body)
    if pod.get("kind", "Pod") != "Pod" or pod.get("apiVersion", "v1") != "v1":
        raise PodInvalid("kind: must be a Pod of apiVersion v1")
    metadata = pod.setdefault("metadata", {})
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = metadata["generateName"] + "".join(
            secrets.choice("bcdfghjklmnpqrstvwxz2456789") for _ in "12345"
        )
    name = metadata.get("name", "")
    if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
        raise PodInvalid(
            f"metadata.name: {name!r} is not a lowercase RFC 1123 subdomain of at most {_LONGEST_NAME} characters"
        )
    check_metadata(pod)
    check_spec(pod.get("spec") or {})
    metadata |= {"namespace": NAMESPACE, "uid": str(uuid.uuid4()), "creationTimestamp": timestamp(moment)}
    pod["spec"] = _with_defaults(pod["spec"])
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod["spec"]}


def check_metadata(pod: Object) -> None:
    """Raise PodInvalid where a label or annotation is not one."""
    metadata = pod["metadata"]
    for field in ("labels", "annotations"):
        entries = metadata.get(field) or {}
        if not isinstance(entries, dict) or not all(isinstance(value, str) for value in entries.values()):
            raise PodInvalid(f"metadata.{field}: must map text to text")
    for key, value in (metadata.get("labels") or {}).items():
        if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            raise PodInvalid(f"metadata.labels: {key!r}: {value!r} is not a valid label")


def check_spec(spec: Object) -> None:
    """Raise PodInvalid where the pod asks for what it cannot have here."""
    containers = spec.get("containers") or []
    if len(containers) != 1 or spec.get("initContainers"):
        raise PodInvalid(
            "spec.containers: the pod runner starts pods of exactly one container, without init containers"
        )
    if spec.get("restartPolicy") != "Never":
        raise PodInvalid("spec.restartPolicy: the pod runner never restarts a container; say Never")
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and (not isinstance(deadline, int) or deadline < 1):
        raise PodInvalid("spec.activeDeadlineSeconds: must be a whole number of seconds above 0")
    for volume in spec.get("volumes") or []:
        if "emptyDir" not in volume:
            raise PodInvalid(f"spec.volumes: {volume.get('name')!r} is not an emptyDir, which is all there is here")
    _check_container(containers[0])


def _check_container(container: Object) -> None:
    if not container.get("name") or not container.get("image"):
        raise PodInvalid("spec.containers[0]: name and image are required")
    for mount in container.get("volumeMounts") or []:
        if mount.get("mountPath", "").rstrip("/") != "/tmp":  # noqa: S108  the pod's own
            raise PodInvalid("spec.containers[0].volumeMounts: only /tmp, which TMPDIR stands for, can be mounted")
    for variable in container.get("env") or []:
        sources = set(variable.get("valueFrom") or ())
        if not variable.get("name") or sources - _VALUE_SOURCES:
            raise PodInvalid(
                f"spec.containers[0].env: {variable.get('name')!r} needs a name and one of {_VALUE_SOURCES}"
            )
    memory_limit(container)


def memory_limit(container: Object) -> int | None:
    """Return the memory limit in bytes, None without one; raise PodInvalid where it is no quantity."""
    quantity = ((container.get("resources") or {}).get("limits") or {}).get("memory")
    if quantity is None:
        return None
    match = _QUANTITY.fullmatch(str(quantity))
    if not match:
        raise PodInvalid(f"spec.containers[0].resources.limits.memory: {quantity!r} is not a quantity")
    number, exponent, suffix = match.groups()
    return int(Decimal(number + (exponent or "")) * (_SUFFIX[suffix] if suffix else 1))


def _with_defaults(spec: Object) -> Object:
    container = spec["containers"][0]
    latest = container["image"].endswith(":latest") or ":" not in container["image"].rsplit("/", 1)[-1]
    container.setdefault("imagePullPolicy", "Always" if latest else "IfNotPresent")
    container.setdefault("resources", {})
    container.setdefault("terminationMessagePolicy", "File")
    defaults = {
        "terminationGracePeriodSeconds": DEFAULT_GRACE_SECONDS,
        "schedulerName": "default-scheduler",
        "serviceAccountName": "default",
    }
    return defaults | spec | {"nodeName": NODE}


def quality_of_service(spec: Object) -> str:
    """Return the class Kubernetes derives from a container's requests and limits."""
    resources = spec["containers"][0].get("resources") or {}
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    if not limits and not requests:
        return "BestEffort"
    guaranteed = all(key in limits and requests.get(key, limits[key]) == limits[key] for key in ("cpu", "memory"))
    return "Guaranteed" if guaranteed else "Burstable"
