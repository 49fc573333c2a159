"""When a batch is refused, when it is worth a training, and why these thresholds and no others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from steps.common.settings import PREFIX, SettingRefused

Share = Annotated[float, Field(gt=0, lt=1)]


class Policy(BaseModel):
    """Every threshold of validate; a setting overrides any of them, and the verdict stores the ones it was taken under.

    The retrain-value probe brings its own thresholds here when it is measured; until then drift and new categories
    count without one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    # QUARANTINE: the batch is in no data set, somebody has to look.
    refused_share: Share = Field(
        default=0.20, description="More refused rows than this is a broken delivery; real batches lose up to 0.5 %."
    )
    malformed_share: Share = Field(
        default=0.50, description="A column whose values are mostly not of its type was swapped or re-formatted."
    )
    median_factor: float = Field(
        default=4.0, gt=1,
        description="A median that moves by more, alone, is a change of unit: feet to metres is 10.8, acres to "
        "hectares with a price in another currency rarely below 4; real batches move a median by at most 2.6.",
    )  # fmt: skip
    median_confidence: Share = Field(
        default=0.99,
        description="The median's whole interval has to lie beyond the factor: ten odd houses prove nothing.",
    )

    # Drift and new categories.
    psi: float = Field(
        default=0.25, gt=0, description="The usual bound for a population that has changed; redraws stay below 0.01."
    )
    psi_confidence: Share = Field(
        default=0.99, description="PSI has to exceed the bound by more than chance gives batches of these sizes."
    )
    new_category_share: Share = Field(
        default=0.01,
        description="A value never seen counts from this share of the rows: below, it cannot move RMSE much.",
    )
    new_category_rows: int = Field(
        default=30, ge=1, description="And from so many rows: fewer teach a model nothing about the value."
    )

    # The champion's error on the batch beside its error on its own test part.
    champion_ratio: float = Field(
        default=1.10, gt=1, description="RMSE here over RMSE there: a tenth worse is more than the houses' luck."
    )
    champion_slice_ratio: float = Field(
        default=1.50, gt=1, description="The same for one state: states differ among themselves, so it takes more."
    )
    slice_share: Share = Field(
        default=0.01, description="States with a smaller share of the batch are shown, not judged."
    )
    judged_rows: int = Field(default=100, ge=2, description="Errors on fewer scored rows are shown, not judged.")
    confidence: Share = Field(
        default=0.95, description="One-sided, of the ratios' lower bounds; for states divided by their number."
    )
    scored_rows: int = Field(
        default=50_000, ge=100, description="Rows scored on either side at most: RMSE is then known to about 1 %."
    )
    replicates: int = Field(default=1000, ge=200, description="Bootstrap replicates.")

    # Whether the batch can be learnt from at all.
    learnable_rho: float = Field(
        default=0.10, gt=0, lt=1,
        description="Least rank correlation of a quick fit: 0 with the prices shuffled, .38 on the hardest real batch.",
    )  # fmt: skip
    learnable_confidence: Share = Field(default=0.95, description="One-sided, of the correlation's lower bound.")
    learnable_rows: int = Field(
        default=10_000, ge=100, description="Rows of the quick fit at most; more do not change the answer."
    )
    learnable_trees: int = Field(default=40, ge=1, description="Trees of the quick fit.")

    seed: int = Field(
        default=0, ge=0, description="Of samples and bootstraps, so that a repeated step decides the same."
    )


def read_policy(overrides: Mapping[str, Any]) -> Policy:
    """Return the policy with a deployment's thresholds; raise SettingRefused naming each that is wrong."""
    try:
        return Policy.model_validate(overrides)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise SettingRefused(f"{PREFIX}VALIDATE_POLICY: {faults}") from None
