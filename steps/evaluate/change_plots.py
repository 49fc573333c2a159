"""What an explanation looks like: the champion's error by its causes, the gain by its sources, what moves prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from steps.common.explanation import Attributions, ErrorChange, Estimate, Explanation, GainSplit, Table

ERROR_CHANGE: Final = "error_change.png"
GAIN: Final = "gain.png"
SHAP_CHANGE: Final = "shap_change.png"
TERMS: Final = {
    "outside": "houses outside\nwhat it knows",
    "houses": "other mix\nof houses",
    "prices": "other prices for\nlike houses",
    "houses_or_prices": "houses or prices,\nnot identifiable",
}
_WORSE, _BETTER, _TOTAL, _CHANCE = "#c44e52", "#4c8c5e", "#4c72b0", "#b8b8b8"
DPI: Final = 110
_SMALL: Final = 0.2


@dataclass(frozen=True)
class _Bar:
    """One step of a waterfall, in dollars; None for `around` where it has no interval."""

    label: str
    size: float
    around: Estimate | None
    real: bool


def draw(folder: Path, found: Explanation) -> list[Path]:
    """Write a picture of every part of an explanation that is there, and return their files."""
    drawn = []
    if found.error_change:
        drawn.append(_error_change(folder / ERROR_CHANGE, found.error_change))
    if found.gain_split and found.table:
        drawn.append(_gain(folder / GAIN, found.gain_split, found.table))
    if found.attributions:
        drawn.append(_shap_change(folder / SHAP_CHANGE, found.attributions))
    return drawn


def _error_change(path: Path, change: ErrorChange) -> Path:
    bars = [_Bar(TERMS[term.name], term.rmse.point, term.rmse, term.real) for term in change.terms]
    title = f"The champion's RMSE by causes, {change.confidence:.0%} intervals"
    return _waterfall(path, title, ("known rows", change.before_rmse), bars, ("new rows", change.new_rmse))


def _gain(path: Path, split: GainSplit, table: Table) -> Path:
    rmse = {cell.model: cell.rmse.point for cell in table.cells if cell.on == "all"}
    bars = [
        _Bar("new data", -split.data.point, _turned(split.data), split.data_real),
        _Bar("new parameters", -split.parameters.point, _turned(split.parameters), split.parameters_real),
        _Bar("beyond\nthe sample", -split.beyond_sample, None, real=False),
    ]
    title = f"RMSE on all test rows, {split.confidence:.0%} intervals"
    return _waterfall(path, title, ("champion", rmse["champion"]), bars, ("candidate", rmse["candidate"]))


def _turned(part: Estimate) -> Estimate:
    return Estimate(point=-part.point, low=-part.high, high=-part.low)


def _waterfall(path: Path, title: str, start: tuple[str, float], bars: Sequence[_Bar], end: tuple[str, float]) -> Path:
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(max(7.0, 1.7 * (len(bars) + 2)), 4.2), layout="constrained")
    level = start[1]
    heights = [level, end[1]]
    axis.bar(0, level, color=_TOTAL)
    _told(axis, 0, level, f"${level:,.0f}")
    for place, bar in enumerate(bars, 1):
        color = _CHANCE if not bar.real else _WORSE if bar.size > 0 else _BETTER
        axis.bar(place, bar.size, bottom=level, color=color)
        axis.plot([place - 1.4, place + 0.4], [level, level], color="black", linewidth=0.6)
        top = max(level, level + bar.size)
        if bar.around:
            low, high = level + bar.around.low, level + bar.around.high
            axis.plot([place, place], [low, high], color="black", linewidth=1.2, marker="_", markersize=9)
            top = max(top, high)
            heights += [low, high]
        level += bar.size
        heights.append(level)
        _told(axis, place, top, f"{'+' if bar.size >= 0 else '-'}${abs(bar.size):,.0f}")
    axis.bar(len(bars) + 1, end[1], color=_TOTAL)
    axis.plot([len(bars) - 0.4, len(bars) + 1.4], [level, level], color="black", linewidth=0.6)
    _told(axis, len(bars) + 1, end[1], f"${end[1]:,.0f}")
    axis.set_xticks(range(len(bars) + 2), [start[0], *(bar.label for bar in bars), end[0]])
    # A gain of one in a hundred would be a line on an axis from zero.
    low, high = min(heights), max(heights)
    bottom = max(0.0, low - (high - low)) if high - low < _SMALL * high else 0.0
    axis.set_ylim(bottom, high + 0.12 * (high - bottom))
    axis.set_ylabel("RMSE, dollars" + (", the axis does not start at zero" if bottom else ""))
    axis.yaxis.set_major_formatter("{x:,.0f}")
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_title(f"{title}; grey: not clear of chance", fontsize=10)
    figure.savefig(path, dpi=DPI)
    plt.close(figure)
    return path


def _told(axis: Any, place: float, height: float, text: str) -> None:
    axis.annotate(text, (place, height), (0, 4), textcoords="offset points", ha="center", fontsize=9)


def _shap_change(path: Path, found: Attributions) -> Path:
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(8.5, 0.36 * len(found.features) + 1.4), layout="constrained")
    for place, one in enumerate(found.features):
        color = _CHANCE if not one.stands_out else _WORSE if one.change.point > 0 else _BETTER
        # Where the candidate's may lie by luck alone.
        least = max(0.0, one.champion - one.luck)
        axis.barh(place, one.champion + one.luck - least, left=least, height=0.55, color="#ececec", zorder=0)
        axis.plot([one.champion, one.candidate], [place, place], color=color, linewidth=2.5, zorder=1)
        interval = [one.champion + one.change.low, one.champion + one.change.high]
        axis.plot(interval, [place, place], color="black", linewidth=0.8, marker="|", markersize=7, zorder=2)
        axis.scatter(one.champion, place, color="white", edgecolor="black", s=34, zorder=3)
        axis.scatter(one.candidate, place, color="black", s=34, zorder=3)
    axis.scatter([], [], color="white", edgecolor="black", s=34, label="champion")
    axis.scatter([], [], color="black", s=34, label="candidate, with its interval")
    axis.barh(0, 0, color="#ececec", label="what luck allows")
    axis.legend(loc="lower right", fontsize=8, frameon=False)
    axis.set_yticks(
        range(len(found.features)), [f"{one.feature}{' *' if one.stands_out else ''}" for one in found.features]
    )
    axis.invert_yaxis()
    axis.set_xlim(left=0.0)
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_xlabel("mean |SHAP|, log price")
    axis.set_title(f"What moves prices, {found.rows:,} test rows; *: stands out of the noise", fontsize=10)
    figure.savefig(path, dpi=DPI)
    plt.close(figure)
    return path
