"""What the stack asks of the pod runner: whether it answers, and the last words of a step's newest pod."""

from __future__ import annotations

import base64
import json
import ssl
from pathlib import Path
from typing import Final

import httpx

from local.pod_spec import NAMESPACE

_SECONDS: Final = 5.0
_PODS: Final = f"/api/v1/namespaces/{NAMESPACE}/pods"


def answers(kubeconfig: Path) -> bool:
    """Tell whether the API of a kubeconfig is there and takes its token."""
    if not kubeconfig.exists():
        return False
    try:
        with _open(kubeconfig) as client:
            return client.get(_PODS, params={"limit": 1}).is_success
    except httpx.TransportError:
        return False


def last_words(kubeconfig: Path, step: str, lines: int) -> list[str]:
    """Return the last lines that are not empty of the log of a step's newest pod, or why it cannot be read."""
    try:
        with _open(kubeconfig) as client:
            found = client.get(_PODS, params={"labelSelector": f"step={step}"}).raise_for_status().json()["items"]
            if not found:
                return [f"there is no pod of step {step}"]
            newest = max(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))["metadata"]["name"]
            log = client.get(f"{_PODS}/{newest}/log", params={"tailLines": 5 * lines}).raise_for_status().text
    except httpx.HTTPError as error:
        return [f"the pod's log cannot be read: {error}"]
    return [line.rstrip() for line in log.splitlines() if line.strip()][-lines:]


def _open(kubeconfig: Path) -> httpx.Client:
    content = json.loads(kubeconfig.read_text())
    cluster, token = content["clusters"][0]["cluster"], content["users"][0]["user"]["token"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    return httpx.Client(
        base_url=cluster["server"],
        verify=ssl.create_default_context(cadata=authority),
        headers={"Authorization": f"Bearer {token}"},
        timeout=_SECONDS,
    )
