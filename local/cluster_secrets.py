"""Print the Secrets of the cluster with fresh random values, as manifests to apply or to seal: `make secrets`.

What there is and what it consists of is said in argocd/secrets.yaml alone. Nothing is kept: the values exist where the
output goes. The namespaces come first, since a Secret needs a place to be.
"""

from __future__ import annotations

import base64
import secrets
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from string import Template
from typing import Any, Final

import yaml

_ARGOCD: Final = Path(__file__).parents[1] / "argocd"
DESCRIPTION: Final = _ARGOCD / "secrets.yaml"
NAMESPACES: Final = _ARGOCD / "namespaces.yaml"
_BYTES: Final = 32
_ID_BYTES: Final = 15

MAKERS: Final[Mapping[str, Callable[[], str]]] = {
    "token": lambda: secrets.token_urlsafe(_BYTES),
    "id": lambda: secrets.token_urlsafe(_ID_BYTES),
    # Thirty-two bytes with the padding that token_urlsafe leaves out.
    "fernet": lambda: base64.urlsafe_b64encode(secrets.token_bytes(_BYTES)).decode(),
}


class DescriptionRefused(Exception):
    """The description names a kind or a random value that is not there; no Secret was made."""


def describe() -> dict[str, Any]:
    """Return the description of all Secrets."""
    description: dict[str, Any] = yaml.safe_load(DESCRIPTION.read_text(encoding="utf-8"))
    return description


def make_values(kinds: Mapping[str, str]) -> dict[str, str]:
    """Return a fresh value for each name; raise DescriptionRefused for a kind nobody makes."""
    try:
        return {name: MAKERS[kind]() for name, kind in kinds.items()}
    except KeyError as error:
        raise DescriptionRefused(
            f"argocd/secrets.yaml: there is no kind {error}; there are {', '.join(MAKERS)}"
        ) from None


def manifest(secret: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """Return a Secret with its keys filled in; raise DescriptionRefused for a value that was not made."""
    try:
        data = {
            key: Template(about["value"]).substitute(values)
            for key, about in secret["keys"].items()
            if not about.get("optional", False)
        }
    except KeyError as error:
        raise DescriptionRefused(f"argocd/secrets.yaml: {secret['name']} uses {error}, which is not random") from None
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": secret["name"], "namespace": secret["namespace"]},
        "type": "Opaque",
        "stringData": data,
    }


def manifests() -> str:
    """Return the namespaces and every Secret with fresh values, as one YAML stream."""
    description = describe()
    values = make_values(description["random"])
    made = [manifest(secret, values) for secret in description["secrets"]]
    return f"{NAMESPACES.read_text(encoding='utf-8')}---\n{yaml.safe_dump_all(made, sort_keys=False, width=1000)}"


if __name__ == "__main__":
    sys.stdout.write(manifests())
