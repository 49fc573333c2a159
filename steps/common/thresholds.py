"""validate's thresholds: when a batch is refused, when it is worth a training, and why these and no others.

In two parts: those that stored figures can be held against at any time, and those that changed the figures themselves.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(gt=0, lt=1)]


class Thresholds(BaseModel):
    """What the figures of a report are held against."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # QUARANTINE: the batch is in no data set, somebody has to look.
    refused_share: Share = Field(
        default=0.20, description="More refused rows than this is a broken delivery; real batches lose up to 0.5 %."
    )
    malformed_share: Share = Field(
        default=0.50, description="A column whose values are mostly not of its type was swapped or re-formatted."
    )

    # Drift and new categories.
    psi: float = Field(
        default=0.25, gt=0, description="The usual bound for a population that has changed; redraws stay below 0.01."
    )
    new_category_share: Share = Field(
        default=0.001,
        description="A value never seen counts from this share of the rows; the probe says whether it matters.",
    )
    new_category_rows: int = Field(
        default=30, ge=1, description="And from so many rows: fewer teach a model nothing about the value."
    )

    # The champion's error on the batch beside its error on its own test part.
    champion_ratio: float = Field(
        default=1.10, gt=1, description="RMSE here over RMSE there: a tenth worse is more than the houses' luck."
    )
    price_level: float = Field(
        default=1.05, gt=1,
        description="Price over what the champion says, in the middle, against its own test part: drift that is in no "
        "column; the whole interval has to lie beyond.",
    )  # fmt: skip
    champion_slice_ratio: float = Field(
        default=1.50, gt=1, description="The same for one state: states differ among themselves, so it takes more."
    )
    out_of_line_named: Share = Field(
        default=0.002,
        description="Prices out of line are named from this share, where it is twice the champion's own.",
    )

    # What a training on the batch would gain.
    probe_gain: Share = Field(
        default=0.01,
        description="Least share of RMSE to be gained on the batch; below, the gate could not tell it from noise.",
    )

    # Whether the batch can be learnt from at all.
    learnable_rho: float = Field(
        default=0.10, gt=0, lt=1,
        description="Least rank correlation of a quick fit: 0 with the prices shuffled, .38 on the hardest real batch.",
    )  # fmt: skip


class Measuring(BaseModel):
    """What figures are measured with, or held against before they are stored: with others nobody can decide again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # QUARANTINE: the batch is in no data set, somebody has to look.
    median_factor: float = Field(
        default=4.0, gt=1,
        description="A median that moves by more, alone, is a change of unit: feet to metres is 10.8, acres to "
        "hectares with a price in another currency rarely below 4; real batches move a median by at most 2.6.",
    )  # fmt: skip
    median_confidence: Share = Field(
        default=0.99,
        description="A median's whole interval has to lie beyond the factor: ten odd houses prove nothing.",
    )
    copy_share: Share = Field(
        default=0.50,
        description="A column that is the price, times one factor, on so many rows gives away what is to be learnt; "
        "real batches reach 0.008.",
    )
    copy_correlation: Share = Field(
        default=0.98,
        description="So does one that ranks the houses as the price does; the best column of real batches has .39.",
    )

    # Drift and new categories.
    psi_confidence: Share = Field(
        default=0.99, description="PSI has to exceed the bound by more than chance gives batches of these sizes."
    )

    # The champion's error on the batch beside its error on its own test part.
    slice_share: Share = Field(
        default=0.01, description="States with a smaller share of the batch are shown, not judged."
    )
    judged_rows: int = Field(default=100, ge=2, description="Errors on fewer scored rows are shown, not judged.")
    confidence: Share = Field(
        default=0.95,
        description="Of every interval: the ratios' one-sided bounds, for states divided by their number; the two "
        "sides of what a training, or going back, would gain.",
    )
    scored_rows: int = Field(
        default=50_000, ge=100, description="Rows scored on either side at most: RMSE is then known to about 1 %."
    )
    replicates: int = Field(default=1000, ge=200, description="Bootstrap replicates.")
    price_factor: float = Field(
        default=4.0, gt=1,
        description="A price so many times what the model says, beyond its state's level, is out of line and left out "
        "of errors; real batches have 4 of 100,000 such, a digit too many is 10.",
    )  # fmt: skip
    out_of_line_share: Share = Field(
        default=0.05, description="More of them are no slips but what such houses cost: none is left out then."
    )

    # What a training on the batch would gain.
    probe_rows: int = Field(
        default=20_000, ge=100,
        description="Rows of each fit, and judged on either side, at most: ten fits then take 15 s on one core.",
    )  # fmt: skip
    probe_least_rows: int = Field(
        default=150, ge=50, description="Fewer rows to fit on tell nothing of what a training would do."
    )
    probe_judged_houses: int = Field(
        default=60, ge=20, description="Fewer houses to judge on have no interval worth the name."
    )
    probe_least_share: Share = Field(
        default=0.10,
        description="Share of the batch's rows in a fit at least: of a rare state a sample in proportion would have "
        "200 rows where a training has 2,800.",
    )

    # Whether to go back to the version before.
    rollback_gain: float = Field(
        default=0.005, ge=0.005, lt=1,
        description="Share of RMSE on the batch that going back must gain, with confidence: what the gate asks.",
    )  # fmt: skip

    # Whether the batch can be learnt from at all.
    learnable_confidence: Share = Field(default=0.95, description="One-sided, of the correlation's lower bound.")
    learnable_rows: int = Field(
        default=10_000, ge=100, description="Rows of the quick fit at most; more do not change the answer."
    )
    learnable_trees: int = Field(default=40, ge=1, description="Trees of the quick fit.")
    seed: int = Field(
        default=0, ge=0, description="Of samples and bootstraps, so that a repeated step decides the same."
    )
