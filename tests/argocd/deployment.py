"""The cluster's description as data: Applications, values and Secrets, and whatever of them a test asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

from local.cluster_secrets import describe
from tests.servers import ROOT

ARGOCD: Final = ROOT / "argocd"
VALUES: Final = ROOT / "helm-values"
APPLICATIONS: Final = sorted(path.stem for path in (ARGOCD / "applications").glob("*.yaml"))
OURS: Final = ("migrations", "serving", "frontend")
REPOSITORY: Final = "https://github.com/appraiser/appraiser"


class Loader(yaml.CSafeLoader):
    """YAML as Kubernetes reads it: a bare = is text, though YAML 1.1 has another use for it."""


Loader.add_constructor("tag:yaml.org,2002:value", lambda _loader, node: str(node.value))


def documents(text: str) -> list[dict[str, Any]]:
    """Return the objects of a YAML stream."""
    return [document for document in yaml.load_all(text, Loader) if document]


def application(name: str) -> dict[str, Any]:
    """Return an Application."""
    (found,) = documents((ARGOCD / "applications" / f"{name}.yaml").read_text())
    return found


def values(name: str) -> dict[str, Any]:
    """Return a release's values."""
    found: dict[str, Any] = yaml.safe_load((VALUES / f"{name}.yaml").read_text())
    return found


def described() -> dict[tuple[str, str], set[str]]:
    """Return the keys of every described Secret, by its namespace and name."""
    return {(one["namespace"], one["name"]): set(one["keys"]) for one in describe()["secrets"]}


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every value that is no map and no list, with the keys that lead to it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, str(key)))
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, path)
    else:
        yield path, value


# A key that opens a line. What a list holds, block text and Kubernetes' own words are details of the key above them.
_KEY: Final = re.compile(r"( *)([A-Za-z_][\w./-]*):(?: |$)")
_BLOCK: Final = re.compile(r".*: [|>][+-]?$")
_KUBERNETES: Final = re.compile(r"requests|limits|.*/.*|httpGet|periodSeconds|timeoutSeconds|failureThreshold")


def keys_without_a_sentence(text: str) -> list[str]:
    """Return the keys of a values file that have no comment above them and do not only group others that have one."""
    lines = [line for line in text.splitlines() if line.strip()]
    missing: list[str] = []
    detail: int | None = None
    for before, line, after in zip(["", *lines], lines, [*lines[1:], ""], strict=False):
        indent, explained = len(line) - len(line.lstrip()), before.lstrip().startswith("#")
        if line.lstrip().startswith("#") or (detail is not None and indent > detail):
            continue
        found = _KEY.match(line)
        detail = indent if found is None or _BLOCK.match(line) else None
        groups = (
            line.endswith(":") and len(after) - len(after.lstrip()) > indent and not after.lstrip().startswith("- ")
        )
        if found and not (explained or groups or _KUBERNETES.fullmatch(found[2])):
            missing.append(found[2])
    return missing
