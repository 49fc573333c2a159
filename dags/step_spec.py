"""What the pod of a step is: its image, what it may reach, its size, and what it may not do.

Settings, read where Airflow parses the DAG (they are Airflow's, no pod sees them):
APPRAISER_IMAGES              file with the image of each step (default: images.yaml beside this file)
APPRAISER_IMAGES_ALLOW_TAGS   "true" where an image may be named by a tag, on one machine
APPRAISER_NAMESPACE           namespace of the pods (default: appraiser)
APPRAISER_SERVICE_ACCOUNT     service account of the pods (default: appraiser-step)
APPRAISER_KUBECONFIG          kubeconfig to reach the cluster with (default: Airflow runs inside it)
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from airflow.providers.cncf.kubernetes.secret import Secret
from kubernetes.client import models as k8s

# What a step may reach, and so the only secrets its pod is given.
DATABASES: Final = {
    "fetch": ("raw", "ledger"),
    "validate": ("raw", "clean", "ledger"),
    "clean": ("raw", "clean", "ledger"),
    "tune": ("clean", "ledger", "optuna"),
    "train": ("clean", "ledger"),
    "evaluate": ("clean", "ledger"),
    "promote": ("ledger",),
}

# (requested CPUs, CPU limit, memory, space in /tmp). Memory is limited to what is requested: a pod that is promised
# less than it may use is the first to be killed when the node runs short, in the middle of a fit.
Size = Literal["small", "medium", "large"]
SIZES: Final[dict[Size, tuple[str, str, str, str]]] = {
    "small": ("250m", "1", "512Mi", "256Mi"),
    "medium": ("500m", "1", "2Gi", "1Gi"),
    "large": ("1", "2", "4Gi", "2Gi"),
}


class StepRefused(ValueError):
    """The DAG names a step or an image that must not run; Airflow shows the sentence as the DAG's import error."""


def pod_of(step: str, size: Size) -> dict[str, Any]:
    """Return the operator's arguments that describe a step's pod; raise StepRefused for what must not run."""
    if step not in DATABASES:
        raise StepRefused(f"there is no step {step!r}; the steps are {', '.join(DATABASES)}")
    kubeconfig = os.environ.get("APPRAISER_KUBECONFIG")
    image = image_of(step)
    return {
        "name": f"appraiser-{step}",
        "image": image,
        "cmds": ["python", "-m", f"steps.{step}"],
        "labels": {"app": "appraiser", "step": step},
        "namespace": os.environ.get("APPRAISER_NAMESPACE", "appraiser"),
        "config_file": kubeconfig,
        "in_cluster": kubeconfig is None,
        "configmaps": ["appraiser"],
        "env_vars": _digest_of(image),
        "secrets": [
            Secret("env", f"APPRAISER_{database.upper()}_URL", "appraiser-databases", f"{database}-url")
            for database in DATABASES[step]
        ],
        "service_account_name": os.environ.get("APPRAISER_SERVICE_ACCOUNT", "appraiser-step"),
        **_sized(*SIZES[size]),
        **_restricted(),
    }


def _digest_of(image: str) -> dict[str, str]:
    # The one thing an image cannot bring itself. On one machine, where images have tags, what stands for them does.
    _, _, digest = image.partition("@")
    return {"APPRAISER_IMAGE_DIGEST": digest} if digest else {}


def _sized(cpu: str, cpu_limit: str, memory: str, space: str) -> dict[str, Any]:
    return {
        "container_resources": k8s.V1ResourceRequirements(
            requests={"cpu": cpu, "memory": memory, "ephemeral-storage": space},
            limits={"cpu": cpu_limit, "memory": memory, "ephemeral-storage": space},
        ),
        # The only place a step can write to.
        "volumes": [k8s.V1Volume(name="tmp", empty_dir=k8s.V1EmptyDirVolumeSource(size_limit=space))],
        "volume_mounts": [k8s.V1VolumeMount(name="tmp", mount_path="/tmp")],  # noqa: S108  the pod's own
    }


def _restricted() -> dict[str, Any]:
    """Return what Kubernetes' "restricted" profile asks for, and a root file system nobody writes to."""
    return {
        "automount_service_account_token": False,
        "security_context": k8s.V1PodSecurityContext(
            run_as_non_root=True, seccomp_profile=k8s.V1SeccompProfile(type="RuntimeDefault")
        ),
        "container_security_context": k8s.V1SecurityContext(
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            capabilities=k8s.V1Capabilities(drop=["ALL"]),
        ),
    }


def image_of(step: str) -> str:
    """Return the image of a step; raise StepRefused where the file has none, or one without a digest."""
    path = Path(os.environ.get("APPRAISER_IMAGES") or Path(__file__).with_name("images.yaml"))
    images = yaml.safe_load(path.read_text()) if path.is_file() else None
    if not isinstance(images, dict) or not isinstance(images.get(step), str):
        raise StepRefused(f"{path} (APPRAISER_IMAGES) names no image for step {step}")
    image: str = images[step]
    tags_allowed = os.environ.get("APPRAISER_IMAGES_ALLOW_TAGS", "false").lower() == "true"
    if not tags_allowed and not re.fullmatch(r"\S+@sha256:[0-9a-f]{64}", image):
        raise StepRefused(
            f"{path} names the image of step {step} as {image!r}, without a digest (name@sha256:…); "
            "only one machine may use tags, with APPRAISER_IMAGES_ALLOW_TAGS=true"
        )
    return image
