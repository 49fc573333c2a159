"""Delete the pods of steps that ended long enough ago and that Airflow has seen: what the clean-up's CronJob runs.

A pod that Airflow has not marked is kept, however old: the next attempt of its task may still take it for its own.
The standard library is all it needs, so any image with Python runs it. Variables: NAMESPACE, HOURS.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_API: Final = "https://kubernetes.default.svc"
_TIMEOUT_SECONDS: Final = 20
_PAGE: Final = 200
# The first label is every step's, the second the operator's, once the task knows how the pod ended.
_SELECTOR: Final = "app=appraiser,already_checked=True"
_GONE: Final = 404


def ended_at(pod: Mapping[str, Any]) -> datetime | None:
    """Return when the last container of a pod ended, None while the pod is in a phase it can leave."""
    status = pod.get("status", {})
    if status.get("phase") not in ("Succeeded", "Failed"):
        return None
    ends = [
        container["state"]["terminated"]["finishedAt"]
        for container in status.get("containerStatuses", [])
        if container.get("state", {}).get("terminated", {}).get("finishedAt")
    ]
    # One that was evicted before it ran has no container to ask.
    return datetime.fromisoformat(max(ends, default=pod["metadata"]["creationTimestamp"]))


def names_of_old(pods: list[dict[str, Any]], before: datetime) -> list[str]:
    """Return the names of the pods that ended before a moment."""
    return [pod["metadata"]["name"] for pod in pods if (end := ended_at(pod)) is not None and end < before]


class Pods:
    """The pods of a namespace, by the Kubernetes API; raises OSError where it does not answer or refuses."""

    def __init__(self, api: str, namespace: str, token: str, trust: ssl.SSLContext | None) -> None:
        self._url = f"{api}/api/v1/namespaces/{namespace}/pods"
        self._token = token
        self._trust = trust

    def seen(self) -> list[dict[str, Any]]:
        """Return every pod that Airflow has marked, page by page."""
        found: list[dict[str, Any]] = []
        following = ""
        while True:
            query = {"labelSelector": _SELECTOR, "limit": _PAGE, **({"continue": following} if following else {})}
            page = self._ask("GET", f"{self._url}?{urlencode(query)}")
            found += page["items"]
            following = page.get("metadata", {}).get("continue") or ""
            if not following:
                return found

    def delete(self, name: str) -> None:
        """Delete a pod; one that is gone already is as good."""
        try:
            self._ask("DELETE", f"{self._url}/{name}")
        except HTTPError as error:
            if error.code != _GONE:
                raise

    def _ask(self, method: str, url: str) -> dict[str, Any]:
        request = Request(url, method=method, headers={"Authorization": f"Bearer {self._token}"})  # noqa: S310  https
        with urlopen(request, timeout=_TIMEOUT_SECONDS, context=self._trust) as answer:  # noqa: S310
            body: dict[str, Any] = json.load(answer)
        return body


def main() -> int:
    """Delete what is over; return the exit code."""
    hours = float(os.environ["HOURS"])
    trust = ssl.create_default_context(cafile=str(_ACCOUNT / "ca.crt"))
    pods = Pods(_API, os.environ["NAMESPACE"], (_ACCOUNT / "token").read_text(), trust)
    seen = pods.seen()
    over = names_of_old(seen, datetime.now(UTC) - timedelta(hours=hours))
    for name in over:
        pods.delete(name)
    sys.stdout.write(f"{json.dumps({'event': 'pods_deleted', 'deleted': len(over), 'kept': len(seen) - len(over)})}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
