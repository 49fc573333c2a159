"""The pods and events that the pod runner knows: in memory, on disk, and with the history that watches are served from.

A pod has a folder of its own: `pod.json`, `events.jsonl`, and what its container leaves there (the log). Stored objects
are never changed in place, so the history can hold them as they were.
"""

from __future__ import annotations

import asyncio
import copy
import json
import shutil
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from local.pod_spec import NAMESPACE, NODE, Object, timestamp

type Kind = Literal["pods", "events", "namespaces"]

HISTORY = 4096


class RevisionExpired(Exception):
    """A watch asks for changes that are no longer, or were never, in the history; the client has to list again."""


@dataclass(frozen=True)
class Change:
    """One object before and after a change; None where it was not there."""

    revision: int
    kind: Kind
    before: Object | None
    after: Object | None


class Store:
    """Every object by kind and name; revisions are milliseconds, so that they grow across restarts."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._objects: dict[Kind, dict[str, Object]] = {"pods": {}, "events": {}, "namespaces": {}}
        self._history: deque[Change] = deque(maxlen=HISTORY)
        self._changed = asyncio.Event()
        self._closed = False
        self.revision = 0
        self._load()
        self.revision = self._expired = self._next_revision()
        self._put("namespaces", _namespace())

    def folder(self, name: str) -> Path:
        """Return the folder of a pod."""
        return self._folder / name

    def objects(self, kind: Kind) -> list[Object]:
        """Return all objects of a kind, in the order they came."""
        return list(self._objects[kind].values())

    def get(self, kind: Kind, name: str) -> Object | None:
        """Return an object, None where there is none of that name."""
        return self._objects[kind].get(name)

    def add_pod(self, pod: Object) -> Object:
        """Store a new pod, whose name must be free, and return it as stored."""
        folder = self.folder(pod["metadata"]["name"])
        # What is there without being in the store is what a kill in the middle of a deletion has left.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        return self._put("pods", pod)

    def change_pod(self, name: str, change: Callable[[Object], None]) -> Object:
        """Apply a change to a copy of a pod, store that and return it; raise KeyError where the pod is gone."""
        pod = copy.deepcopy(self._objects["pods"][name])
        change(pod)
        return self._put("pods", pod)

    def remove_pod(self, name: str) -> None:
        """Forget a pod, its folder and all that is in it; its events stay until the runner ends."""
        self._record("pods", self._objects["pods"].pop(name), None)
        folder = self.folder(name)
        (folder / "pod.json").unlink()
        shutil.rmtree(folder, ignore_errors=True)

    def add_event(self, pod: Object, reason: str, message: str, *, warning: bool = False) -> None:
        """Record what happened to a pod, as the scheduler or a kubelet would."""
        metadata, container = pod["metadata"], pod["spec"]["containers"][0]
        moment = timestamp(datetime.now(UTC))
        scheduled = reason == "Scheduled"
        field = (
            {}
            if scheduled or reason == "DeadlineExceeded"
            else {"fieldPath": f"spec.containers{{{container['name']}}}"}
        )
        name, uid = metadata["name"], metadata["uid"]
        involved = {"apiVersion": "v1", "kind": "Pod", "namespace": NAMESPACE, "name": name, "uid": uid, **field}
        identity = uuid.uuid4()
        event: Object = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{name}.{identity.hex[:16]}", "namespace": NAMESPACE,
                "uid": str(identity), "creationTimestamp": moment,
            },
            "involvedObject": involved,
            "reason": reason,
            "message": message,
            "type": "Warning" if warning else "Normal",
            "source": {"component": "default-scheduler"} if scheduled else {"component": "kubelet", "host": NODE},
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "count": 1,
        }  # fmt: skip
        self._put("events", event)

    async def changes(self, kind: Kind, since: int, seconds: float) -> AsyncIterator[Change]:
        """Yield the changes of a kind after a revision, as they come, for so many seconds.

        Raises RevisionExpired where the history does not reach back to that revision.
        """
        deadline = time.monotonic() + seconds
        while not self._closed:
            if since < self._expired or since > self.revision:
                raise RevisionExpired
            changed = self._changed
            for change in [change for change in self._history if change.revision > since]:
                since = change.revision
                if change.kind == kind:
                    yield change
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    if changed is self._changed:
                        await changed.wait()
            except TimeoutError:
                return

    def close(self) -> None:
        """End every watch."""
        self._closed = True
        self._changed.set()

    def _next_revision(self) -> int:
        return max(self.revision + 1, int(time.time() * 1000))

    def _put(self, kind: Kind, found: Object) -> Object:
        revision = self._next_revision()
        stored = found | {"metadata": found["metadata"] | {"resourceVersion": str(revision)}}
        name = stored["metadata"]["name"]
        if kind == "pods":
            draft = self.folder(name) / ".pod.json.draft"
            draft.write_text(json.dumps(stored))
            draft.rename(self.folder(name) / "pod.json")
        if kind == "events" and (folder := self.folder(stored["involvedObject"]["name"])).is_dir():
            with (folder / "events.jsonl").open("a") as events:
                events.write(json.dumps(stored) + "\n")
        before = self._objects[kind].get(name)
        self._objects[kind][name] = stored
        self._record(kind, before, stored, revision)
        return stored

    def _record(self, kind: Kind, before: Object | None, after: Object | None, revision: int | None = None) -> None:
        self.revision = revision or self._next_revision()
        if len(self._history) == HISTORY:
            self._expired = self._history[0].revision
        self._history.append(Change(self.revision, kind, before, after))
        self._changed.set()
        self._changed = asyncio.Event()

    def _load(self) -> None:
        pods: list[Object] = []
        for folder in self._folder.iterdir():
            if not (folder / "pod.json").is_file():
                shutil.rmtree(folder)
                continue
            pods.append(json.loads((folder / "pod.json").read_text()))
            if (folder / "events.jsonl").is_file():
                lines = (folder / "events.jsonl").read_text().splitlines(keepends=True)
                # A full disk once left half a line at the end.
                whole = [json.loads(line) for line in lines if line.endswith("}\n")]
                self._objects["events"] |= {event["metadata"]["name"]: event for event in whole}
        pods.sort(key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]))
        self._objects["pods"] = {pod["metadata"]["name"]: pod for pod in pods}
        loaded = [*self._objects["pods"].values(), *self._objects["events"].values()]
        self.revision = max((int(found["metadata"]["resourceVersion"]) for found in loaded), default=0)


def _namespace() -> Object:
    moment = timestamp(datetime.now(UTC))
    metadata = {
        "name": NAMESPACE,
        "uid": NAMESPACE,
        "creationTimestamp": moment,
        "labels": {"kubernetes.io/metadata.name": NAMESPACE},
    }
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata, "spec": {}, "status": {"phase": "Active"}}
