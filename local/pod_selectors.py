"""Label and field selectors of list and watch requests."""

from __future__ import annotations

import re
from collections.abc import Callable

from local.pod_spec import Object
from local.pod_store import Kind

type Selector = Callable[[Object], bool]

_KEY = r"[A-Za-z0-9][-A-Za-z0-9_./]*"
_REQUIREMENT = re.compile(
    rf"\s*(?:(?P<absent>!)\s*(?P<missing>{_KEY})"
    rf"|(?P<key>{_KEY})\s*(?:(?P<operator>==|=|!=)\s*(?P<value>[-A-Za-z0-9_.]*)"
    rf"|\s(?P<set>in|notin)\s*\((?P<values>[^()]*)\))?)\s*(?:,|$)"
)
_FIELD = re.compile(r"([A-Za-z.]+)(==|=|!=)([^,=!]*)")
_FIELDS: dict[Kind, set[str]] = {
    "pods": {"metadata.name", "metadata.namespace", "spec.nodeName", "spec.restartPolicy", "status.phase"},
    "events": {
        "metadata.name", "metadata.namespace", "involvedObject.kind", "involvedObject.name", "involvedObject.namespace",
        "involvedObject.uid", "involvedObject.apiVersion", "involvedObject.fieldPath", "reason", "type", "source",
    },
    "namespaces": {"metadata.name", "status.phase"},
}  # fmt: skip


class SelectorInvalid(ValueError):
    """A selector cannot be read, or names a field that cannot be selected by."""


def select(kind: Kind, labels: str, fields: str) -> Selector:
    """Return what tells whether an object matches both selectors; an empty one matches all. Raises SelectorInvalid."""
    requirements = [*_label_requirements(labels), *_field_requirements(kind, fields)]
    return lambda found: all(requirement(found) for requirement in requirements)


def _label_requirements(text: str) -> list[Selector]:
    requirements: list[Selector] = []
    position = 0
    while position < len(text):
        match = _REQUIREMENT.match(text, position)
        if not match or match.end() == position:
            raise SelectorInvalid(f"unable to parse requirement: {text[position:]!r}")
        requirements.append(_label_requirement(match))
        position = match.end()
    return requirements


def _label_requirement(match: re.Match[str]) -> Selector:
    key = match["key"] or match["missing"]
    if match["operator"]:
        values, wanted = {match["value"]}, match["operator"] != "!="
    elif match["set"]:
        values, wanted = {value.strip() for value in match["values"].split(",")}, match["set"] == "in"
    else:
        present = not match["absent"]
        return lambda found: (key in (found["metadata"].get("labels") or {})) == present
    # A missing label satisfies != and notin.
    return lambda found: ((found["metadata"].get("labels") or {}).get(key) in values) == wanted


def _field_requirements(kind: Kind, text: str) -> list[Selector]:
    requirements: list[Selector] = []
    for part in filter(None, text.split(",")):
        match = _FIELD.fullmatch(part.strip())
        if not match:
            raise SelectorInvalid(f"invalid field selector: {part!r}")
        path, operator, value = match.groups()
        if path not in _FIELDS[kind]:
            raise SelectorInvalid(f'field label not supported: "{path}"')
        requirements.append(_field_requirement(path, value, wanted=operator != "!="))
    return requirements


def _field_requirement(path: str, value: str, *, wanted: bool) -> Selector:
    def matches(found: Object) -> bool:
        step: object = found
        for key in path.split("."):
            step = step.get(key, "") if isinstance(step, dict) else ""
        if path == "source" and isinstance(step, dict):
            step = step["component"]
        return (step == value) == wanted

    return matches
