"""Another policy than the one that was in force: which thresholds of promote and of validate would have differed.

A file in YAML, hence also in JSON, with a section for each of the two steps, both optional. What it does not name
stays as it was for each verdict, so an empty file tells the history as it is.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from steps.common.step import Refused
from steps.promote.policy import Policy

SECTIONS: Final = ("promote", "validate")


class PolicyRefused(Refused):
    """The file is no policy; nothing was decided again."""


@dataclass(frozen=True)
class OtherPolicy:
    """The thresholds that differ, by name, for each step."""

    promote: Mapping[str, Any]
    validate: Mapping[str, float]

    def for_promote(self, stored: Mapping[str, Any]) -> Policy | None:
        """Return the policy a stored verdict would have been taken under; None where its own has other thresholds."""
        try:
            return Policy.model_validate({**stored, **self.promote})
        except ValidationError:
            return None

    def lines(self) -> list[tuple[str, object]]:
        """Return what differs, for people."""
        told = {step: ", ".join(f"{name} {value}" for name, value in getattr(self, step).items()) for step in SECTIONS}
        return [(f"{step} with", differs) for step, differs in told.items() if differs] or [("policy", "as it was")]


def read(path: Path, validates: Collection[str]) -> OtherPolicy:
    """Return the policy in a file; `validates` are the names of validate's thresholds. Raise PolicyRefused."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PolicyRefused(f"{path}: {type(error).__name__}: {' '.join(str(error).split())}") from None
    sections = {} if found is None else found
    if not isinstance(sections, dict) or not set(sections) <= set(SECTIONS):
        wrong = ", ".join(map(str, set(sections) - set(SECTIONS))) if isinstance(sections, dict) else "no sections"
        raise PolicyRefused(f"{path}: {wrong}: the sections of a policy are {' and '.join(SECTIONS)}")
    promote, validate = (_section(path, name, sections.get(name)) for name in SECTIONS)
    return OtherPolicy(_of_promote(path, promote), _of_validate(path, validate, validates))


def _section(path: Path, name: str, found: Any) -> dict[str, Any]:
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise PolicyRefused(f"{path}: {name}: must map names of thresholds to their values")
    return {str(key): value for key, value in found.items()}


def _of_promote(path: Path, given: dict[str, Any]) -> dict[str, Any]:
    try:
        known = Policy.model_validate(given)
    except ValidationError as error:
        faults = "; ".join(f"promote.{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise PolicyRefused(f"{path}: {faults}") from None
    return {name: getattr(known, name) for name in given}


def _of_validate(path: Path, given: dict[str, Any], known: Collection[str]) -> dict[str, float]:
    for name, value in given.items():
        if name not in known:
            raise PolicyRefused(f"{path}: validate.{name}: validate has no such threshold")
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or value < 0:
            raise PolicyRefused(f"{path}: validate.{name}: must be a number of at least 0")
    return given
