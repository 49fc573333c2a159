"""The tables that `kubectl get` prints: the server makes the cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from local.pod_spec import Object
from local.pod_store import Kind

# Name and priority of a column; kubectl shows a priority above 0 with `-o wide` only.
_COLUMNS: dict[Kind, Sequence[tuple[str, int]]] = {
    "pods": [
        ("Name", 0), ("Ready", 0), ("Status", 0), ("Restarts", 0), ("Age", 0),
        ("IP", 1), ("Node", 1), ("Nominated Node", 1), ("Readiness Gates", 1),
    ],
    "events": [("Last Seen", 0), ("Type", 0), ("Reason", 0), ("Object", 0), ("Message", 0)],
    "namespaces": [("Name", 0), ("Status", 0), ("Age", 0)],
}  # fmt: skip
_MINUTE, _HOUR, _DAY, _YEAR = 60, 60 * 60, 24 * 60 * 60, 365 * 24 * 60 * 60
# The units for a duration below so many seconds.
_AGES = (
    (2 * _MINUTE, [(1, "s")]),
    (10 * _MINUTE, [(_MINUTE, "m"), (1, "s")]),
    (3 * _HOUR, [(_MINUTE, "m")]),
    (8 * _HOUR, [(_HOUR, "h"), (_MINUTE, "m")]),
    (48 * _HOUR, [(_HOUR, "h")]),
    (8 * _DAY, [(_DAY, "d"), (_HOUR, "h")]),
    (2 * _YEAR, [(_DAY, "d")]),
    (math.inf, [(_YEAR, "y")]),
)


def table(kind: Kind, objects: Sequence[Object], revision: str, include: str) -> Object:
    """Return a `Table`, with as much of each object as the client asked to have (None, Metadata or Object)."""
    cells = {"pods": _pod_cells, "events": _event_cells, "namespaces": _namespace_cells}[kind]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": revision},
        "columnDefinitions": [
            {"name": name, "type": "string", "format": "", "description": name, "priority": priority}
            for name, priority in _COLUMNS[kind]
        ],
        "rows": [{"cells": cells(found), "object": _included(found, include)} for found in objects],
    }  # fmt: skip


def human_duration(seconds: int) -> str:
    """Write a duration as kubectl does: in one unit or two, the finer the younger."""
    units = next(units for below, units in _AGES if seconds < below)
    written, rest = "", max(seconds, 0)
    for unit, letter in units:
        count, rest = divmod(rest, unit)
        if count or not written:
            written += f"{count}{letter}"
    return written


def _age(written: str) -> str:
    return human_duration(int((datetime.now(UTC) - datetime.fromisoformat(written)).total_seconds()))


def _included(found: Object, include: str) -> Object | None:
    if include == "None":
        return None
    if include == "Object":
        return found
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": found["metadata"]}


def _pod_cells(pod: Object) -> list[str]:
    metadata, status = pod["metadata"], pod["status"]
    container = status["containerStatuses"][0]
    state = container["state"]
    shown = state.get("waiting") or state.get("terminated") or {}
    reason = status.get("reason") or shown.get("reason") or status["phase"]
    if "deletionTimestamp" in metadata:
        reason = "Terminating"
    ready = f"{int(container['ready'])}/1"
    age = _age(metadata["creationTimestamp"])
    return [metadata["name"], ready, reason, "0", age, status["podIP"], pod["spec"]["nodeName"], "<none>", "<none>"]


def _event_cells(event: Object) -> list[str]:
    involved = f"pod/{event['involvedObject']['name']}"
    return [_age(event["lastTimestamp"]), event["type"], event["reason"], involved, event["message"]]


def _namespace_cells(namespace: Object) -> list[str]:
    metadata = namespace["metadata"]
    return [metadata["name"], namespace["status"]["phase"], _age(metadata["creationTimestamp"])]
