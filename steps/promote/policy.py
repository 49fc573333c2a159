"""The gate's thresholds: every figure a promotion depends on, with what it means; stored with each verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from steps.common.evidence import PAIRED_ROWS
from steps.common.settings import PREFIX, SettingRefused


class Policy(BaseModel):
    """What a candidate must show before it is served; shares are of the champion's figure (0.01 is one per cent)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    confidence: float = Field(
        default=0.95, ge=0, le=0.999,
        description="confidence of the interval whose lower bound the gain is judged by; 0 is the literal rule: lower "
        "RMSE wins, with only the infra check beside it",
    )  # fmt: skip
    least_gain: float = Field(
        default=0.005, ge=0, lt=1, description="least gain in RMSE worth a change of models, as a share"
    )
    noise_multiple: float = Field(
        default=2.0, ge=0, description="how many noise floors of training a gain, or a loss, must exceed"
    )
    mae_tolerance: float = Field(default=0.01, ge=0, description="how much worse the mean absolute error may be")
    slice_tolerance: float = Field(
        default=0.05, ge=0, description="how much worse RMSE may be on a guarded slice (status, zip code seen or not)"
    )
    slice_rows: int = Field(
        default=2000, ge=PAIRED_ROWS,
        description=f"rows from which a slice is guarded; fewer tell too little, below {PAIRED_ROWS} none is compared",
    )  # fmt: skip
    guard_lifted_by: float = Field(
        default=0.10, gt=0,
        description="gain in RMSE, as a share, beyond which no slice is guarded: the champion's range was narrow",
    )  # fmt: skip
    milliseconds_per_1000_rows: float = Field(
        default=20.0, gt=0, description="infra check: most processor time for 1,000 prices on one thread"
    )
    megabytes: float = Field(default=512.0, gt=0, description="infra check: most memory a loaded version may take")


def read_policy(given: Mapping[str, Any]) -> Policy:
    """Return the policy with the deployment's own values; raise SettingRefused for a name or value that is wrong."""
    try:
        return Policy.model_validate(given)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise SettingRefused(f"{PREFIX}PROMOTE_POLICY: {faults}") from None
