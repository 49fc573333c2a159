"""What a model was made with, beside data and parameters: rules, threads, code, image, libraries, machine.

Written on every card, and compared when somebody asks whether a version can be made again.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

from steps.common.features import FEATURES_VERSION
from steps.common.listing import SCOPE_VERSION, SPLIT_VERSION
from steps.common.settings import Settings

# What a fit's numbers go through.
_PACKAGES: Final = ("numpy", "scipy", "xgboost-cpu")
_RULES: Final[Mapping[str, str]] = {
    "scope_version": SCOPE_VERSION,
    "split_version": SPLIT_VERSION,
    "features_version": FEATURES_VERSION,
}
_NOT_RECORDED: Final = "not recorded"
_UNKNOWN: Final = frozenset({"unknown", _NOT_RECORDED})


@dataclass(frozen=True)
class Difference:
    """Something that was otherwise when a version was made: what, how it was, how it is."""

    what: str
    recorded: str
    now: str

    def __str__(self) -> str:
        """Return both, for a line that begins with what it is."""
        return f"recorded {self.recorded}, now {self.now}"


def libraries() -> dict[str, str]:
    """Return the versions of Python and of the packages a fit goes through."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


def build(settings: Settings) -> dict[str, Any]:
    """Return by which build, with which libraries and on what kind of processor a model is made here."""
    return {
        "git_sha": settings.git_sha,
        "image_digest": settings.image_digest,
        "built_at": settings.built_at,
        "libraries": libraries(),
        "machine": platform.machine(),
    }


def rule_differences(card: Mapping[str, Any]) -> list[Difference]:
    """Return which rules of scope, split and features are not those a card was written under."""
    return _differences({name: _text(card, name) for name in _RULES}, _RULES)


def build_differences(card: Mapping[str, Any], settings: Settings) -> list[Difference]:
    """Return what of threads, code, image, libraries and machine is not here what a card recorded."""
    here = _facts({**build(settings), "threads": settings.threads})
    return _differences({name: _facts(card).get(name, _NOT_RECORDED) for name in here}, here)


def unknown(card: Mapping[str, Any], settings: Settings) -> list[str]:
    """Return what of these is known neither from a card nor here, so that nobody can tell whether it differs."""
    here, recorded = _facts(build(settings)), _facts(card)
    return [name for name, found in here.items() if {found, recorded.get(name, _NOT_RECORDED)} <= _UNKNOWN]


def _facts(card: Mapping[str, Any]) -> dict[str, str]:
    names = ("threads", "git_sha", "image_digest", "machine")
    return {**{name: _text(card, name) for name in names}, **card.get("libraries", {})}


def _text(card: Mapping[str, Any], name: str) -> str:
    return str(card.get(name, _NOT_RECORDED))


def _differences(recorded: Mapping[str, str], now: Mapping[str, str]) -> list[Difference]:
    return [
        Difference(name.replace("_", " "), recorded[name], found)
        for name, found in now.items()
        if recorded[name] != found and not {recorded[name], found} <= _UNKNOWN
    ]
