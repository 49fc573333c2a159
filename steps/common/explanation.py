"""Why a candidate differs from the champion, and why the champion errs where it does: every figure, named once.

Kept apart from the evidence on purpose: promote decides from that one alone, and an explanation that could not be
computed, or turns out wrong, changes no decision. Errors are in dollars, squared ones in dollars². A gain is above zero
where the candidate is better, a change where the champion errs more on the new houses than on those before.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from steps.common.evidence import Count, Figures, NotNegative, Share

EXPLANATION_VERSION: Final = 1

# Which test rows: all, of batches the champion was trained on, or of those it was not.
Rows = Literal["all", "new", "before"]
Part = Literal["champion", "candidate"]
Positive = Annotated[float, Field(gt=0)]


class Estimate(Figures):
    """A figure with the ends of its interval; at what confidence, the figure's owner says."""

    point: float
    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError("the low end of an interval is not above the high one")
        return self

    def beyond(self, least: float) -> bool:
        """Tell whether the whole interval is farther from zero than so much, on one side of it."""
        return self.low > least or self.high < -least

    @property
    def clear(self) -> bool:
        """Tell whether the whole interval is on one side of zero."""
        return self.beyond(0.0)


class Side(Figures):
    """The test rows of some batches."""

    batches: tuple[int, ...]
    rows: Count
    properties: Count


class Cell(Figures):
    """How wrong one of the two models is on some of the test rows."""

    model: Part
    on: Rows
    rmse: Estimate
    mae: Estimate


class Advantage(Figures):
    """How much less wrong than the champion the candidate is, on the same rows."""

    on: Rows
    rows: Count
    rmse: Estimate
    mae: Estimate


class Table(Figures):
    """Champion and candidate on all houses, on the new ones and on those before, as far as there are any."""

    confidence: Share
    cells: tuple[Cell, ...]
    gains: tuple[Advantage, ...]


class Novelty(Figures):
    """New houses that are outside anything the champion was trained on, by one of their fields.

    `value` is the text never met, for fields of few values. `low` and `high` are the ends of a number's range in the
    train part; `rows_before` of the test rows before are outside in the same way. A house may be outside by several.
    """

    field: str
    value: str | None = None
    rows: Count
    share: Share
    rows_before: Count
    low: float | None = None
    high: float | None = None


TermName = Literal["outside", "houses", "prices", "houses_or_prices"]


class Term(Figures):
    """One part of the change of the champion's error.

    `real`: the interval stands clear of zero, and for `outside` it is that of enough rows to say anything.
    """

    name: TermName
    mean_squared: Estimate
    rmse: Estimate
    real: bool


class PriceFactor(Figures):
    """How many times what the champion says houses cost, in the median."""

    of: Literal["before", "common", "outside"]
    factor: Positive


class ErrorChange(Figures):
    """The change of the champion's error from the houses before to the new ones, in terms that add up to it.

    `outside`: houses unlike any before. `houses`: other houses than before among those that are alike, had they cost
    what such houses cost before. `prices`: what the same houses cost now. `houses_or_prices` stands for the two where
    they cannot be told apart: fewer than `needed_properties` new houses have their like before, or those before count
    as fewer when re-weighted (`effective_properties`). Of the rows outside, `rarer_rows` are so by no single field:
    houses like them were `rarer_ratio` times rarer before; of fewer rows outside than `needed_outside_rows` nothing can
    be told, 0 in explanations of before that was kept. The terms of the mean squared error add up to its change;
    those of RMSE are in proportion to them, so that they add up to the change of RMSE.
    """

    confidence: Share
    before_rmse: NotNegative
    new_rmse: NotNegative
    mean_squared: Estimate
    rmse: Estimate
    real: bool
    terms: tuple[Term, ...]
    outside_rows: Count
    outside_share: Share
    needed_outside_rows: Count = 0
    rarer_rows: Count
    rarer_ratio: Positive
    common_properties: Count
    effective_properties: NotNegative
    needed_properties: Count
    novelties: tuple[Novelty, ...]
    factors: tuple[PriceFactor, ...]

    @property
    def few_outside(self) -> bool:
        """Tell whether the rows outside are too few to tell what they change."""
        return self.outside_rows < self.needed_outside_rows

    @property
    def largest(self) -> Term:
        """Return the term that changes the error most, whichever way."""
        return max(self.terms, key=lambda term: abs(term.mean_squared.point))


class Fit(Figures):
    """A fit on a sample: whose parameters, which batches, how many rows, and how wrong it is on all test rows."""

    parameters: Part
    data: Part
    batches: tuple[int, ...]
    rows: Count
    rmse: NotNegative


class GainSplit(Figures):
    """Where the gain in RMSE comes from, by four fits: whose parameters, whose data.

    `data` and `parameters` are the mean of what either brings before and after the other (Shapley value of two
    factors) and add up to `sample_gain`; `beyond_sample` is what the gain of the versions themselves is more than
    that. `luck` is how far two fits differ that differ in nothing but luck: less than that is not `real`.
    """

    confidence: Share
    fits: tuple[Fit, ...]
    test_rows: Count
    gain: float
    sample_gain: Estimate
    data: Estimate
    parameters: Estimate
    beyond_sample: float
    luck: NotNegative
    data_real: bool
    parameters_real: bool
    same_data: bool
    same_parameters: bool


class FeatureChange(Figures):
    """How much a feature moves prices, as mean |SHAP| in log price, in both models on the same rows.

    `luck` is the change that two fits of one kind may show. `stands_out`: the change is more than that, and its
    interval, which holds for all features at once, is clear of zero.
    """

    feature: str
    champion: NotNegative
    candidate: NotNegative
    change: Estimate
    luck: NotNegative
    stands_out: bool


class Attributions(Figures):
    """What moves prices in either model, on some test rows; the features whose part changed most stand first."""

    confidence: Share
    rows: Count
    features: tuple[FeatureChange, ...]


class Explanation(Figures):
    """Everything that is known about why a candidate differs from the champion; `paragraph` says it in words.

    `retrained`: the champion was trained on every batch, so that `new` is the run's own and `before` are the others.
    A part that could not be computed is None, and a sentence in `notes` says why. `champion_version` 0: there was none.
    """

    version: Literal[1]
    batch: int
    candidate_version: int
    champion_version: int
    retrained: bool = False
    before: Side | None = None
    new: Side | None = None
    table: Table | None = None
    error_change: ErrorChange | None = None
    gain_split: GainSplit | None = None
    attributions: Attributions | None = None
    notes: tuple[str, ...] = ()
    paragraph: tuple[str, ...] = ()
