"""Charts of the history: errors over versions, who was champion when, drift, and figures with their intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

import altair as alt
import streamlit as st

from frontend.formats import moment
from frontend.texts import text

# Seen on the light and on the dark background alike; words stand beside every one of them.
UP: Final = "#1a8f87"
DOWN: Final = "#c8623f"
QUIET: Final = "#87918f"
# Words, quiet words and what is behind them: a chart takes none of the theme's colours.
_INK: Final = {"light": ("#1c2526", "#4d595a", "#ffffff"), "dark": ("#e6ecea", "#aab5b3", "#14191a")}
_ROW_PIXELS: Final = 30
# A chart's height holds its legend and its axis too.
_FRAME_PIXELS: Final = 80
_HISTORY_PIXELS: Final = 330
# A figure nearer to the end of its axis is moved inwards: half of it would be cut off.
_EDGE_PIXELS: Final = 20
# An axis that ends before the bound that counts would make nothing look like much.
_LEAST_PSI: Final = 0.25

Rows = Sequence[Mapping[str, Any]]
Drawing = alt.LayerChart | alt.FacetChart | alt.Chart


@dataclass(frozen=True)
class Figure:
    """A figure with the ends of its interval; `real` where it stands clear of chance."""

    name: str
    point: float
    low: float
    high: float
    real: bool


def ink() -> tuple[str, str, str]:
    """Return the colours of words, of quiet words and of the background, in the scheme the browser shows."""
    return _INK["dark" if st.runtime.exists() and st.context.theme.type == "dark" else "light"]


def specified(chart: Drawing) -> dict[str, Any]:
    """Return a chart in Vega-Lite, with words that can be read on the background there is.

    Streamlit's own words are too pale, or black. Nothing is checked against Vega-Lite's schema here, nor is the chart
    copied for each setting of its words: both took half the time in which a tab opens; a test checks every chart.
    """
    strong, soft, _ = ink()
    spec: dict[str, Any] = chart.to_dict(validate=False)
    spec["config"] = {
        "text": {"color": strong, "fontSize": 12.5},
        "axis": {"labelColor": soft, "titleColor": soft, "labelFontSize": 12, "titleFontSize": 12.5},
        "legend": {"labelColor": soft, "labelFontSize": 12.5},
        "rule": {"color": strong},
    }
    return spec


def plot(rows: Iterable[Mapping[str, Any]]) -> alt.Chart:
    """Return a chart of rows, with nothing drawn yet."""
    return alt.Chart(alt.Data(values=list(rows)))  # type: ignore[no-untyped-call]  # Altair has no types there


def dollars(title: str) -> alt.Axis:
    """Return an axis in dollars, in thousands where they are many."""
    return alt.Axis(format="$,.3~s", title=title, tickCount=5, labelOverlap=True)


def history(rows: Rows) -> Drawing:
    """Draw RMSE and MAE over versions; rows hold version, measure, error and champion."""
    colors = alt.Color(
        "measure:N", title=None, scale=alt.Scale(domain=["RMSE", "MAE"], range=[UP, DOWN]),
        legend=alt.Legend(orient="top", offset=0),
    )  # fmt: skip
    chart = plot(rows)
    x = alt.X("version:O", title=text("models.version"), axis=alt.Axis(labelAngle=0))
    y = alt.Y("error:Q", axis=dollars(text("models.error_axis")), scale=alt.Scale(zero=False, padding=30))
    hints = [
        alt.Tooltip("version:O", title=text("models.version")), alt.Tooltip("measure:N", title=text("models.measure")),
        alt.Tooltip("error:Q", title=text("models.error_axis"), format="$,.0f"),
    ]  # fmt: skip
    lines = chart.mark_line(strokeWidth=2).encode(x=x, y=y, color=colors)
    points = chart.mark_circle(size=70, opacity=1).encode(x=x, y=y, color=colors, tooltip=hints)
    champion = chart.transform_filter("datum.champion")
    rings = champion.mark_point(size=230, strokeWidth=2.5, filled=False).encode(x=x, y=y, color=colors)
    # Beside the last of many versions there is no room to the right.
    last = any(row["champion"] and row["version"] == max(one["version"] for one in rows) for row in rows)
    # Below the lower line, where nothing else is drawn.
    words = (
        champion.transform_filter("datum.measure === 'MAE'")
        .mark_text(dy=22, dx=10 if last else 0, align="right" if last else "center", fontWeight=600, aria=False)
        .encode(x=x, y=y, text=alt.value(text("models.champion")))
    )
    return alt.layer(lines, points, rings, words).properties(height=_HISTORY_PIXELS)


def reigns(rows: Rows) -> Drawing:
    """Draw who was champion when; rows hold version, start and end as times."""
    told = [{**row, "from": moment(row["start"]), "until": moment(row["end"])} for row in rows]
    drawn: alt.Chart = (
        plot(told)
        .mark_bar(cornerRadius=3, height=14)
        .encode(
            x=alt.X(
                "start:T",
                title=text("models.time"),
                # Vega-Lite's own is the browser's time zone.
                scale=alt.Scale(type="utc"),
                axis=alt.Axis(labelOverlap=True, tickCount=4, format="%b %d, %H:%M"),
            ),
            x2="end:T",
            y=alt.Y("version:O", title=text("models.version")),
            color=alt.Color("now:N", legend=None, scale=alt.Scale(domain=[True, False], range=[UP, QUIET])),
            tooltip=[
                alt.Tooltip("version:O", title=text("models.version")),
                alt.Tooltip("from:N", title=text("models.from")),
                alt.Tooltip("until:N", title=text("models.until")),
            ],
        )
        .properties(
            height=_ROW_PIXELS * len({row["version"] for row in rows}) + _FRAME_PIXELS,
        )
    )
    return drawn


def drift(rows: Rows) -> Drawing:
    """Draw each column's PSI beside what chance alone reaches; rows hold column, psi, chance and changed."""
    y = alt.Y("column:N", sort=None, title=None, axis=alt.Axis(labelLimit=130))
    # Most columns lie near zero and a few at eight: a plain scale would show the few alone.
    most = max([_LEAST_PSI, *(float(row[name]) for row in rows for name in ("psi", "chance"))])
    scale = alt.Scale(type="symlog", constant=0.1, domain=[0, 1.05 * most])
    axis = alt.Axis(values=[0, 0.1, 0.25, 0.5, 1, 2, 4, 8], format="~g", labelOverlap=True, labelFlush=_EDGE_PIXELS)
    chart = plot(rows)
    hints = [
        alt.Tooltip("column:N", title=text("batches.column")), alt.Tooltip("psi:Q", title="PSI", format=".3f"),
        alt.Tooltip("chance:Q", title=text("batches.chance"), format=".3f"),
    ]  # fmt: skip
    bars = chart.mark_bar(cornerRadius=2, height=12).encode(
        x=alt.X("psi:Q", title=text("batches.drift_axis"), scale=scale, axis=axis), y=y, tooltip=hints,
        color=alt.Color("changed:N", scale=alt.Scale(domain=[True, False], range=[DOWN, QUIET]), legend=None),
    )  # fmt: skip
    chance = chart.mark_tick(thickness=2, size=18, color=UP).encode(x=alt.X("chance:Q", scale=scale), y=y)
    return alt.layer(bars, chance).properties(height=_ROW_PIXELS * len(rows) + _FRAME_PIXELS)


def intervals(found: Sequence[Figure], axis: alt.Axis) -> Drawing:
    """Draw figures as bars from zero with their intervals; those that may be chance are quiet."""
    rows = [{"name": one.name, "point": one.point, "low": one.low, "high": one.high, "real": one.real} for one in found]
    chart = plot(rows)
    y = alt.Y("name:N", sort=None, title=None, axis=alt.Axis(labelLimit=150))
    hints = [
        alt.Tooltip("name:N", title=" "),
        *(alt.Tooltip(f"{end}:Q", title=text(f"why.{end}"), format=",.4~g") for end in ("point", "low", "high")),
    ]
    color = alt.Color("real:N", legend=None, scale=alt.Scale(domain=[True, False], range=[UP, QUIET]))
    bars = chart.mark_bar(height=14, cornerRadius=2).encode(
        x=alt.X("point:Q", axis=axis), y=y, color=color, tooltip=hints
    )
    spans = chart.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q", y=y)
    return alt.layer(bars, spans).properties(height=_ROW_PIXELS * len(rows) + _FRAME_PIXELS)


def attributions(rows: Rows) -> Drawing:
    """Draw changes of mean |SHAP| with their bands; rows hold name, change, low, high, luck and stands_out."""
    chart = plot([{**row, "below": -row["luck"]} for row in rows])
    y = alt.Y("name:N", sort=None, title=None, axis=alt.Axis(labelLimit=150))
    x = alt.X("below:Q", title=text("why.shap_axis"), axis=alt.Axis(format="+.2~f", tickCount=5, labelOverlap=True))
    color = alt.Color("stands_out:N", legend=None, scale=alt.Scale(domain=[True, False], range=[UP, QUIET]))
    luck = chart.mark_bar(height=16, opacity=0.22, color=QUIET, aria=False).encode(x=x, x2="luck:Q", y=y)
    spans = chart.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q", y=y, color=color)
    points = chart.mark_circle(size=80, opacity=1).encode(
        x="change:Q", y=y, color=color,
        tooltip=[alt.Tooltip("name:N", title=" "), alt.Tooltip("change:Q", title=text("why.change"), format="+.4f"),
                 alt.Tooltip("luck:Q", title=text("why.luck"), format=".4f")],
    )  # fmt: skip
    return alt.layer(luck, spans, points).properties(height=_ROW_PIXELS * len(rows) + _FRAME_PIXELS)


def draw(chart: Drawing, name: str, about: str = "") -> None:
    """Put a chart on the page under its title, with words for whoever cannot see it; `name` leads to both texts.

    The title is the page's, not the chart's: that one would be cut off on a phone.
    """
    below = f"<p>{escape(about)}</p>" if about else ""
    st.html(f'<div class="ap-chart"><h3>{escape(text(name))}</h3>{below}</div>')
    st.vega_lite_chart(spec=specified(chart), key=name, alt=text(f"{name}_alt"))
