"""The policy that validate judges under, with what a deployment sets otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from steps.common.settings import PREFIX, SettingRefused
from steps.common.thresholds import Measuring, Thresholds


class Policy(Thresholds, Measuring):
    """Every threshold of validate; a setting overrides any of them, and a verdict stores those it was taken under."""


def read_policy(overrides: Mapping[str, Any]) -> Policy:
    """Return the policy with a deployment's thresholds; raise SettingRefused naming each that is wrong."""
    try:
        return Policy.model_validate(overrides)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise SettingRefused(f"{PREFIX}VALIDATE_POLICY: {faults}") from None
