"""What a comparison looks like: prices said against prices paid, what is left over, and what moves the prices."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from steps.common.columns import Floats
from steps.common.features import FEATURES, features
from steps.common.store.clean import Listings
from steps.evaluate.contenders import Contender

_POINTS: Final = 100_000
_SHOWN: Final = 15
_SEED: Final = 7


def without_a_screen(folder: Path) -> None:
    """Set matplotlib up for files alone; what it keeps for itself goes beside the folder where there is no home."""
    # Without a home folder that can be written to, matplotlib warns on every start; with one it keeps what it knows
    # of fonts, which takes it seconds to find out.
    if not os.access(Path("~").expanduser(), os.W_OK):
        os.environ.setdefault("MPLCONFIGDIR", str(folder.parent / "matplotlib"))
    import matplotlib as mpl

    mpl.use("Agg")


def draw(
    folder: Path, rows: Listings, contenders: Mapping[str, Contender], shown: Listings,
    contributions: Mapping[str, Floats],
) -> list[Path]:  # fmt: skip
    """Write the plots of some versions, by the part they play (`candidate`, `champion`), and return their files.

    `contributions` are each version's to the prices of `shown`, some of the rows, in log price; the bias last.
    """
    without_a_screen(folder)
    drawn = [
        _side_by_side(folder / "predicted_and_actual.png", rows, contenders, _against_actual),
        _side_by_side(folder / "residuals.png", rows, contenders, _residuals),
    ]
    for part, one in contenders.items():
        drawn.append(_beeswarm(folder / f"beeswarm_{part}.png", shown, one, contributions[part]))
    return drawn


def _side_by_side(path: Path, rows: Listings, contenders: Mapping[str, Contender], panel: Any) -> Path:
    from matplotlib import pyplot as plt

    chosen = some(len(rows), _POINTS)
    figure, axes = plt.subplots(
        1, len(contenders), figsize=(6 * len(contenders), 5), squeeze=False, sharex=True, sharey=True,
        layout="constrained",
    )  # fmt: skip
    for axis, (part, one) in zip(axes[0], contenders.items(), strict=True):
        panel(axis, rows.price[chosen], one.scored.prices[chosen])
        axis.set_title(f"{part}: version {one.version}")
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


def _against_actual(axis: Any, price: Floats, predicted: Floats) -> None:
    ends = (float(min(price.min(), predicted.min())), float(max(price.max(), predicted.max())))
    axis.hexbin(price, predicted, gridsize=70, xscale="log", yscale="log", bins="log", mincnt=1, cmap="viridis")
    axis.plot(ends, ends, color="black", linewidth=0.8)
    axis.set_xlabel("price, dollars")
    axis.set_ylabel("price the model says, dollars")


def _residuals(axis: Any, price: Floats, predicted: Floats) -> None:
    axis.hexbin(price, predicted / price - 1, gridsize=70, xscale="log", bins="log", mincnt=1, cmap="viridis")
    axis.axhline(0, color="black", linewidth=0.8)
    # A few prices are wrong by a factor; they would leave the rest a line.
    axis.set_ylim(-1, 2)
    axis.set_xlabel("price, dollars")
    axis.set_ylabel("too much (+) or too little, share of the price")


def _beeswarm(path: Path, shown: Listings, one: Contender, found: Floats) -> Path:
    import shap
    from matplotlib import pyplot as plt

    # XGBoost's own contributions: exact, and the model is not explained a second time by other code.
    explanation = shap.Explanation(
        values=found[:, :-1],
        base_values=found[:, -1],
        data=features(shown.columns, one.bundle.encodings).astype(np.float64),
        feature_names=list(FEATURES),
    )
    # It strews its points with NumPy's global generator; the same version gives the same picture.
    np.random.seed(_SEED)  # noqa: NPY002
    shap.plots.beeswarm(explanation, max_display=_SHOWN, show=False)
    plt.gcf().suptitle(f"version {one.version}: contributions to log price, {len(shown)} test rows")
    plt.gcf().savefig(path, dpi=110, bbox_inches="tight")
    plt.close("all")
    return path


def some(count: int, most: int) -> Any:
    """Return the positions of at most so many rows, the same ones each time, in order."""
    return np.sort(np.random.default_rng(_SEED).permutation(count)[:most])
