"""What a comparison looks like: prices said against prices paid, what is left over, and what moves the prices."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from steps.common.columns import Floats
from steps.common.features import FEATURES, features
from steps.common.store.clean import Listings
from steps.evaluate.change_plots import DPI
from steps.evaluate.contenders import Contender

_POINTS: Final = 100_000
_SHOWN: Final = 15
_PARTS: Final = 100
_HALF_A_LINE: Final = 0.4
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
    figure.savefig(path, dpi=DPI)
    plt.close(figure)
    return path


def _against_actual(axis: Any, price: Floats, predicted: Floats) -> None:
    ends = (float(min(price.min(), predicted.min())), float(max(price.max(), predicted.max())))
    axis.hexbin(price, predicted, gridsize=70, xscale="log", yscale="log", bins="log", mincnt=1, cmap="viridis")
    axis.plot(ends, ends, color="black", linewidth=0.8)
    _in_plain_dollars(axis.xaxis, axis.yaxis)
    axis.set_xlabel("price, dollars")
    axis.set_ylabel("price the model says, dollars")


def _residuals(axis: Any, price: Floats, predicted: Floats) -> None:
    axis.hexbin(price, predicted / price - 1, gridsize=70, xscale="log", bins="log", mincnt=1, cmap="viridis")
    axis.axhline(0, color="black", linewidth=0.8)
    # A few prices are wrong by a factor; they would leave the rest a line.
    axis.set_ylim(-1, 2)
    _in_plain_dollars(axis.xaxis)
    axis.set_xlabel("price, dollars")
    axis.set_ylabel("too much (+) or too little, share of the price")


def _in_plain_dollars(*axes: Any) -> None:
    """Write prices on a logarithmic axis as 200k; by itself it sets powers of ten as formulas, in .5 s a figure."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    for axis in axes:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(EngFormatter(sep=""))
        axis.set_minor_formatter(NullFormatter())


def _beeswarm(path: Path, shown: Listings, one: Contender, found: Floats) -> Path:
    from matplotlib import pyplot as plt

    # XGBoost's own contributions, bias left out: exact, and the model is not explained a second time by other code.
    moves = found[:, :-1]
    matrix = features(shown.columns, one.bundle.encodings)
    moves_most = np.abs(moves).mean(axis=0).argsort(kind="stable")[::-1][:_SHOWN]
    figure, axis = plt.subplots(figsize=(8.5, 0.4 * len(moves_most) + 1.6), layout="constrained")
    axis.axvline(0, color="black", linewidth=0.8, zorder=0)
    for place, column in enumerate(moves_most):
        points = axis.scatter(
            moves[:, column], place + strewn(moves[:, column]), c=_ranks(matrix[:, column]), cmap="coolwarm", s=7,
            linewidths=0, vmin=0, vmax=1,
        )  # fmt: skip
    bar = figure.colorbar(points, ax=axis, ticks=[0, 1], aspect=40, pad=0.01)
    bar.ax.set_yticklabels(["low", "high"])
    bar.set_label("the feature's value, by rank", labelpad=-12)
    axis.set_yticks(range(len(moves_most)), [FEATURES[column] for column in moves_most])
    axis.invert_yaxis()
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.set_xlabel("contribution to log price (SHAP value)")
    axis.set_title(f"version {one.version}: contributions to log price, {len(shown)} test rows", fontsize=10)
    figure.savefig(path, dpi=DPI)
    plt.close(figure)
    return path


def strewn(values: Floats) -> Floats:
    """Return a height for each point of a line, so that points of about one value lie one above the other.

    Those of the fullest hundredth of the line's length take from -.4 to .4, others as much less as they are fewer.
    """
    length = float(np.ptp(values)) or 1.0
    part = np.minimum((values - values.min()) / length * _PARTS, _PARTS - 1).astype(np.intp)
    order = part.argsort(kind="stable")
    fullness = np.bincount(part, minlength=_PARTS)
    within = np.empty(len(values), np.float64)
    within[order] = np.arange(len(values)) - (fullness.cumsum() - fullness)[part[order]]
    return _HALF_A_LINE * (2 * within + 1 - fullness[part]) / fullness.max()


def _ranks(values: NDArray[np.float32]) -> Floats:
    """Return where each value lies among the others, from 0 to 1, equal ones at one place."""
    _, ranks = np.unique(values, return_inverse=True)
    return ranks.astype(np.float64) / max(1, int(ranks.max()))


def some(count: int, most: int) -> Any:
    """Return the positions of at most so many rows, the same ones each time, in order."""
    return np.sort(np.random.default_rng(_SEED).permutation(count)[:most])
