"""A look back with labels: whether the version before the one in production prices this batch better.

Both price the same houses of the test part, which neither has seen; the difference of their RMSE has an interval from
a paired bootstrap by property, as the gate's has. Clearly better is what the gate calls so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from steps.common.resampling import properties, resampled_sums, root_mean
from steps.validate.champion_error import Scored
from steps.validate.policy import Policy
from steps.validate.reason import Code, Reason


@dataclass(frozen=True)
class LookBack:
    """RMSE in dollars of a version and of the one in production, `champion`, on the same houses of the batch.

    `gain` is what going back would gain in RMSE, with its interval; `advised` where that is clearly something,
    `outcome` what came of the advice, and `moved` whether the alias went back.
    """

    version: int
    champion: int
    rows: int
    houses: int
    rmse: float
    champion_rmse: float
    gain: float
    low: float
    high: float
    advised: bool
    outcome: str | None = None
    moved: bool = False


def look_back(version: int, champion: int, previous: Scored, now: Scored, policy: Policy) -> LookBack | None:
    """Return both versions' errors on the same rows; None for no rows, or where a price is not a number."""
    if not len(now) or not (np.isfinite(previous.said).all() and np.isfinite(now.said).all()):
        return None
    of = properties(now.property_id)
    squared = [of.sums((one.said - one.price) ** 2) for one in (previous, now)]
    rmse, champion_rmse = (math.sqrt(float(one.sum()) / len(now)) for one in squared)
    totals = resampled_sums(np.column_stack([of.sums(np.ones(len(now))), *squared]), policy.replicates, policy.seed)
    gains = root_mean(totals[:, 2], totals[:, 0]) - root_mean(totals[:, 1], totals[:, 0])
    low, high = np.nanquantile(gains, [(1 - policy.confidence) / 2, (1 + policy.confidence) / 2]).tolist()
    judged = len(of.ids) >= policy.judged_rows
    return LookBack(
        version, champion, len(now), len(of.ids), rmse, champion_rmse, champion_rmse - rmse, low, high,
        advised=judged and low > policy.rollback_gain * champion_rmse,
    )  # fmt: skip


def rollback_advised(found: LookBack, policy: Policy) -> list[Reason]:
    """Return that the version before would be the better one, where it clearly would, and what came of it."""
    if not found.advised:
        return []
    least = policy.rollback_gain * found.champion_rmse
    sentence = (
        f"version {found.version}, in production before, is wrong by ${found.rmse:,.0f} (RMSE) on this batch and "
        f"version {found.champion} by ${found.champion_rmse:,.0f} on the same {found.rows:,} rows: going back gains "
        f"${found.gain:,.0f} (${found.low:,.0f} to ${found.high:,.0f}; ${least:,.0f} is asked)"
    )
    came_of_it: Literal["stayed", "moved"] | None = None
    if found.outcome:
        sentence += f"; {found.outcome}"
        came_of_it = "moved" if found.moved else "stayed"
    return [Reason(Code.ROLLBACK_ADVISED, sentence, f"version {found.version}", found.low, least, outcome=came_of_it)]
