"""A column that has become a copy of the price: it gives away what is to be learnt, and no house sold tomorrow has it.

Two rules, each on the numbers in a column, whatever its type: on most rows the price is the same factor of it; or it
ranks the houses as the price does, up or down. The first finds copies in part of the rows and in another unit, the
second any rising or falling function of the price.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from steps.common.columns import Floats
from steps.common.listing import SOURCE_FIELDS
from steps.validate.batch import Batch, Field
from steps.validate.learnable import spearman
from steps.validate.policy import Policy
from steps.validate.reason import Code, Reason

# Looked at evenly over the batch; more rows do not change the answer.
_ROWS: Final = 20_000
# Fewer houses, or a handful of prices, rank alike by chance.
_LEAST_ROWS: Final = 30
_LEAST_PRICES: Final = 20
# Factors that agree in so many digits are one: a copy may have been rounded.
_DIGITS: Final = 4


def copies_of_price(batch: Batch, policy: Policy) -> list[Reason]:
    """Return the columns that give the price away."""
    rows = np.unique(np.linspace(0, max(len(batch) - 1, 0), _ROWS).astype(np.intp)) if len(batch) else np.empty(0, int)
    price = batch.price[rows] if len(rows) else np.empty(0)
    return [reason for name in SOURCE_FIELDS if name != "price" for reason in _copy(name, batch, rows, price, policy)]


def _copy(name: str, batch: Batch, rows: np.ndarray, price: Floats, policy: Policy) -> Iterator[Reason]:
    numbers = _numbers(batch.fields[name])[batch.fields[name].codes[rows]]
    known = np.isfinite(numbers) & np.isfinite(price)
    one, other = numbers[known], price[known]
    if len(one) < _LEAST_ROWS or len(np.unique(other)) < _LEAST_PRICES:
        return
    share, factor = _same_factor(one, other)
    if share > policy.copy_share:
        what = "is the price" if factor == 1 else f"is the price divided by {factor:.4g}"
        sentence = f"{name} {what} on {share:.1%} of the rows, {policy.copy_share:.0%} may be: a copy of it"
        yield Reason(Code.COPY_OF_PRICE, sentence, name, share, policy.copy_share)
        return
    rho = spearman(one, other)
    if abs(rho) > policy.copy_correlation:
        sentence = (
            f"{name} ranks the houses as the price does, with a correlation of {rho:.3f}, {policy.copy_correlation:g} "
            f"may be: a copy of it in another form"
        )
        yield Reason(Code.COPY_OF_PRICE, sentence, name, abs(rho), policy.copy_correlation)


def _numbers(field: Field) -> Floats:
    """Return the number each text of a field reads as, whatever the field's type and scope; NaN for none."""
    if field.meaning.name == "prev_sold_date":
        return field.number_by_code
    return np.array([_number(text) for text in field.meaning.texts], np.float64)


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return np.nan


def _same_factor(numbers: Floats, price: Floats) -> tuple[float, float]:
    """Return the share of rows on which price over number is the most common factor, and that factor.

    Zero where that is on a handful of prices: three bedrooms at one usual price are no copy.
    """
    usable = (numbers > 0) & (price > 0)
    logs = np.round(np.log10(price[usable] / numbers[usable]), _DIGITS)
    if not len(logs):
        return 0.0, 1.0
    values, counts = np.unique(logs, return_counts=True)
    most = values[np.argmax(counts)]
    if len(np.unique(price[usable][logs == most])) < _LEAST_PRICES:
        return 0.0, 1.0
    return float(counts.max() / len(numbers)), float(10**most)
