"""Prices that are out of line: so far above what a model says of a house that they are likely not prices at all.

One price in a hundred with a digit too many multiplies an RMSE by five and says nothing about the model. Such rows are
named, and left out of every error that something is decided by; what a whole state costs is never out of line.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from steps.common.columns import Category, Floats
from steps.validate.batch import Mask
from steps.validate.policy import Policy
from steps.validate.reason import Code, Reason

# A state's own level needs so many houses; those of rarer states are held against the level of all.
_LEVEL_HOUSES = 30


@dataclass(frozen=True)
class OutOfLine:
    """Rows of a batch left out of the champion's error, and that error with them in it; `own_share` is of its own."""

    rows: int
    share: float
    own_share: float
    rmse_of_all: float


def out_of_line(price: Floats, said: Floats, state: Category, policy: Policy) -> Mask:
    """Tell which prices are beyond a factor of what was said, given what prices of the state are to that in the middle.

    None of them where they are more than a few: that is then what such houses cost.
    """
    if not len(price):
        return np.zeros(0, np.bool_)
    logs = np.log(np.maximum(price, 1.0)) - np.log(np.maximum(said, 1.0))
    found = logs - _levels(logs, state) > np.log(policy.price_factor)
    return found if found.mean() <= policy.out_of_line_share else np.zeros(len(price), np.bool_)


def _levels(logs: Floats, state: Category) -> Floats:
    """Return for each row the median of its state, of all rows where the state has few of them."""
    order = np.argsort(state.codes, kind="stable")
    codes, first = np.unique(state.codes[order], return_index=True)
    levels = np.full(len(logs), np.median(logs))
    for code, rows in zip(codes.tolist(), np.split(order, first[1:]), strict=True):
        if code >= 0 and len(rows) >= _LEVEL_HOUSES:
            levels[rows] = np.median(logs[rows])
    return levels


def named(found: OutOfLine, policy: Policy) -> Reason | None:
    """Return that prices are out of line, None where they are few and no more than the version's own test part has."""
    least = max(policy.out_of_line_named, 2 * found.own_share)
    if found.share <= least:
        return None
    sentence = (
        f"{found.rows:,} prices ({found.share:.1%} of those scored) are more than {policy.price_factor:g} times what "
        f"the model says of houses in that state: they are left out of what it is judged by; with them its RMSE on "
        f"this batch is ${found.rmse_of_all:,.0f}"
    )
    return Reason(Code.PRICES_OUT_OF_LINE, sentence, "price", found.share, least)
