"""What moves prices in either model: mean |SHAP| of every feature on the same rows, and which of them really changed.

The contributions are XGBoost's own and exact, in log price. They differ between any two fits, above all where features
tell much the same (three are means of a zip code), so a change stands out only beyond what two fits on halves of one
sample differ by; halves differ more than two full fits would.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import xgboost

from steps.common.booster import Fitted
from steps.common.columns import Columns, Floats
from steps.common.explanation import Attributions, FeatureChange
from steps.common.features import FEATURES, features
from steps.common.store.clean import Listings
from steps.evaluate.estimates import estimate, resample

# TreeSHAP takes some 5 ms a row.
LUCK_ROWS: Final = 500
CONFIDENCE: Final = 0.95
# Twice the standard deviation of a difference.
_LUCK: Final = 2.0


def mean_absolute(fitted: Fitted, columns: Columns) -> Floats:
    """Return mean |SHAP| in log price of each of FEATURES, for a fit that is no version."""
    matrix = xgboost.DMatrix(features(columns, fitted.encodings), feature_names=list(FEATURES), nthread=1)
    found: Floats = np.abs(fitted.booster.predict(matrix, pred_contribs=True)[:, :-1].astype(np.float64)).mean(axis=0)
    return found


def luck(pair: tuple[Floats, Floats]) -> Floats:
    """Return by how much two models' mean |SHAP| may differ by luck, from that of two fits of one kind.

    One pair says little about one feature; so a feature has at least the luck that is usual among all, in proportion.
    """
    one, other = pair
    middle = np.maximum((one + other) / 2, 1e-12)
    apart = np.abs(one - other)
    usual = float(np.sqrt(np.mean((apart / middle) ** 2)))
    found: Floats = _LUCK * np.maximum(apart, usual * middle)
    return found


def compare(rows: Listings, champion: Floats, candidate: Floats, by_luck: Floats) -> Attributions:
    """Return every feature's part in both models' prices of some rows, the largest change first.

    `champion` and `candidate` are contributions: (rows, features), in log price. Raises NotMeasurable.
    """
    parts = [np.abs(found) for found in (champion, candidate)]
    totals = resample(rows, [np.ones(len(rows)), *(column for part in parts for column in part.T)])
    means = np.column_stack([totals.point, totals.replicates])
    means = means[1:] / means[0]
    count = len(FEATURES)
    # Fourteen looks: each interval is so much wider that all of them hold at once.
    confidence = 1 - (1 - CONFIDENCE) / count
    found = []
    for place, feature in enumerate(FEATURES):
        old, new = means[place], means[count + place]
        change = estimate(new[0] - old[0], (new - old)[1:], confidence)
        found.append(
            FeatureChange(
                feature=feature,
                champion=float(old[0]),
                candidate=float(new[0]),
                change=change,
                luck=float(by_luck[place]),
                stands_out=change.clear and abs(change.point) > by_luck[place],
            )
        )
    found.sort(key=_size)
    return Attributions(confidence=CONFIDENCE, rows=len(rows), features=tuple(found))


def _size(one: FeatureChange) -> float:
    return -abs(one.change.point)
