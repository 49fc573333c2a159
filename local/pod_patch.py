"""Patches of a pod, in the three forms clients send; what may change is labels and annotations."""

from __future__ import annotations

import copy
from typing import Any

from local.pod_spec import Object, PodInvalid, check_metadata

JSON_PATCH = "application/json-patch+json"
# For maps of text, which labels and annotations are, a strategic merge is a merge.
MERGE_PATCHES = ("application/merge-patch+json", "application/strategic-merge-patch+json")


class PatchInvalid(ValueError):
    """A patch cannot be read or applied."""


def patched_metadata(pod: Object, patch: Any, content_type: str) -> Object:
    """Return the labels and annotations of a pod after a patch.

    Raises PatchInvalid for a patch that does not fit its type, PodInvalid where it changes anything else of the pod.
    """
    before = copy.deepcopy(pod)
    for field in ("labels", "annotations"):
        before["metadata"].setdefault(field, {})
    if content_type == JSON_PATCH:
        after = _apply_operations(before, patch)
    elif isinstance(patch, dict):
        after = _merge(before, patch)
    else:
        raise PatchInvalid("a merge patch must be an object")
    after["metadata"] = {key: value for key, value in after["metadata"].items() if value is not None}
    changed = {field: after["metadata"].pop(field, None) or {} for field in ("labels", "annotations")}
    for field in changed:
        del before["metadata"][field]
    if after != before:
        raise PodInvalid("only labels and annotations of a pod can be changed here")
    check_metadata({"metadata": changed})
    return changed


def _merge(target: Any, patch: Any) -> Any:
    """Apply a JSON Merge Patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge(merged.get(key), value)
    return merged


def _apply_operations(document: Object, operations: Any) -> Object:
    """Apply a JSON Patch (RFC 6902): add, replace, remove and test, of members of objects."""
    document = copy.deepcopy(document)
    try:
        for operation in operations:
            _apply(document, operation["op"], operation["path"], operation.get("value"))
    except (KeyError, TypeError, AttributeError) as error:
        raise PatchInvalid(f"the JSON patch cannot be applied: {error!r}") from error
    return document


def _apply(document: Object, name: str, path: str, value: Any) -> None:
    *above, member = [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]
    target = document
    for part in above:
        target = target[part]
    if name == "add" or (name == "replace" and member in target):
        target[member] = value
    elif name == "remove":
        del target[member]
    elif name == "test":
        if target.get(member) != value:
            raise PatchInvalid(f"testing value {path} failed")
    else:
        raise PatchInvalid(f"cannot {name} {path}")
