"""What clients ask before they begin: the version, and which resources there are, in the old and the new form."""

from __future__ import annotations

from typing import Final

from local.pod_spec import Object

# kubectl may be one minor version away in either direction; this one speaks all that is used here.
VERSION: Final = {
    "major": "1", "minor": "32", "gitVersion": "v1.32.0+pod-runner", "platform": "process/localhost",
    # The Python client refuses a version without these.
    "gitCommit": "", "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "",
}  # fmt: skip
AGGREGATED: Final = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

_RESOURCES: Final[list[Object]] = [
    {
        "name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "shortNames": ["po"],
        "categories": ["all"], "verbs": ["create", "delete", "get", "list", "patch", "watch"],
    },
    {"name": "pods/log", "singularName": "", "namespaced": True, "kind": "Pod", "verbs": ["get"]},
    {
        "name": "events", "singularName": "event", "namespaced": True, "kind": "Event", "shortNames": ["ev"],
        "verbs": ["get", "list", "watch"],
    },
    {
        "name": "namespaces", "singularName": "namespace", "namespaced": False, "kind": "Namespace",
        "shortNames": ["ns"], "verbs": ["get", "list", "watch"],
    },
]  # fmt: skip


def versions(address: str) -> Object:
    """Return the answer to `/api`."""
    where = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": where}


def groups() -> Object:
    """Return the answer to `/apis`: there are no groups beside the core one."""
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": []}


def resources() -> Object:
    """Return the answer to `/api/v1`."""
    return {"kind": "APIResourceList", "groupVersion": "v1", "resources": _RESOURCES}


def aggregated(*, core: bool) -> Object:
    """Return the aggregated answer to `/api` (the core group) or `/apis` (nothing), which saves a request."""
    version = {"version": "v1", "freshness": "Current", "resources": [_aggregated(found) for found in _top_level()]}
    items = [{"metadata": {"name": ""}, "versions": [version]}] if core else []
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _top_level() -> list[Object]:
    return [found for found in _RESOURCES if "/" not in found["name"]]


def _aggregated(found: Object) -> Object:
    below = [sub for sub in _RESOURCES if sub["name"].startswith(f"{found['name']}/")]
    return {
        "resource": found["name"],
        "responseKind": {"group": "", "version": "v1", "kind": found["kind"]},
        "scope": "Namespaced" if found["namespaced"] else "Cluster",
        "singularResource": found["singularName"],
        "verbs": found["verbs"],
        "shortNames": found.get("shortNames", []),
        "categories": found.get("categories", []),
        "subresources": [
            {
                "subresource": sub["name"].partition("/")[2],
                "responseKind": {"group": "", "version": "v1", "kind": sub["kind"]},
                "verbs": sub["verbs"],
            }
            for sub in below
        ],
    }
