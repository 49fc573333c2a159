"""How a price comes about, as pictures: a waterfall of the largest contributions and a force plot.

Both run from the model's base to the price in dollars. What is beyond the largest is one bar, so that the bars always
add up to the price.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import altair as alt

from frontend.charts import DOWN, UP, dollars
from frontend.formats import money, signed
from frontend.texts import known, text

MOST: Final = 15
_ROW_PIXELS: Final = 42
_FORCE_PIXELS: Final = 110
_MARGIN: Final = 0.06
# A segment of the force plot narrower than this share of it has no room for its name.
_NAMED_SHARE: Final = 0.17


@dataclass(frozen=True)
class Bar:
    """One contribution: its name, its value in words, its dollars, and where its bar starts and ends."""

    name: str
    value: str
    amount: float
    start: float
    end: float


def name(contribution: Mapping[str, Any]) -> str:
    """Return a contribution's name for people."""
    return known("feature", contribution["feature"], str(contribution["title"]))


def bars(explanation: Mapping[str, Any], most: int = MOST) -> list[Bar]:
    """Return the bars of an answer of /explain, the largest first, from base to price."""
    given = explanation["contributions"]
    kept, rest = given[:most], given[most:]
    amounts = [(name(one), str(one["value"]), float(one["dollars"])) for one in kept]
    if rest:
        amounts.append((text("explain.others", count=len(rest)), "", sum(float(one["dollars"]) for one in rest)))
    found, at = [], float(explanation["base"]["dollars"])
    for title, value, amount in amounts:
        found.append(Bar(title, value, amount, at, at + amount))
        at += amount
    return found


def waterfall(found: Sequence[Bar], base: float, price: float) -> alt.LayerChart:
    """Draw the bars one under the other, each from where the one above ended."""
    rows = [
        {
            "place": place, "label": f"{bar.name} · {bar.value}" if bar.value else bar.name,
            "start": bar.start, "end": bar.end, "right": max(bar.start, bar.end), "amount": signed(bar.amount),
            "way": _way(bar.amount),
        }
        for place, bar in enumerate(found)
    ]  # fmt: skip
    ends = [base, price, *(bar.end for bar in found)]
    margin = _MARGIN * max(max(ends) - min(ends), 1.0)
    # On the right there is room for the last bar's amount too.
    scale = alt.Scale(domain=[min(ends) - margin, max(ends) + 3 * margin], nice=False, zero=False)
    rowwise = alt.Y("place:O", axis=None, scale=alt.Scale(paddingInner=0.62, paddingOuter=0.5))
    axis = dollars(text("explain.axis"))
    chart = alt.Chart(alt.Data(values=rows))
    drawn = chart.mark_bar(cornerRadius=2).encode(
        x=alt.X("start:Q", scale=scale, axis=axis, title=text("explain.axis")), x2="end:Q", y=rowwise, color=_color(),
        tooltip=[alt.Tooltip("label:N", title=text("explain.what")), alt.Tooltip("amount:N", title=text("explain.adds"))],
    )  # fmt: skip
    labels = chart.mark_text(align="left", baseline="bottom", dy=-10, aria=False).encode(
        x=alt.value(0), y=rowwise, text="label:N"
    )
    amounts = chart.mark_text(align="left", dx=6, fontWeight=600, aria=False).encode(
        x=alt.X("right:Q", scale=scale), y=rowwise, text="amount:N"
    )
    ends_rows = [
        {"at": base, "label": f"{text('explain.base')} {money(base)}"},
        {"at": price, "label": f"{text('explain.price')} {money(price)}"},
    ]
    marks = alt.Chart(alt.Data(values=ends_rows)).mark_rule(strokeDash=[4, 3], opacity=0.7).encode(
        x=alt.X("at:Q", scale=scale), tooltip=alt.Tooltip("label:N", title=" ")
    )  # fmt: skip
    title = alt.TitleParams(
        text("explain.waterfall"), subtitle=text("explain.waterfall_from", base=money(base), price=money(price)),
        anchor="start", offset=14,
    )  # fmt: skip
    return alt.layer(marks, drawn, labels, amounts).properties(title=title, height=_ROW_PIXELS * len(rows) + 20)


def force(found: Iterable[Bar], base: float, price: float) -> alt.LayerChart:
    """Draw what pushes the price up from the left against what pushes it down from the right; they meet at it."""
    segments = [*_pushing(found, price, up=True), *_pushing(found, price, up=False)]
    low = min([base, price, *(one["start"] for one in segments)])
    high = max([base, price, *(one["end"] for one in segments)])
    width = max(high - low, 1.0)
    named = [one for one in segments if (one["end"] - one["start"]) / width >= _NAMED_SHARE]
    margin = _MARGIN * width
    scale = alt.Scale(domain=[low - margin, high + margin], nice=False, zero=False)
    x = alt.X("start:Q", scale=scale, axis=dollars(text("explain.axis")), title=text("explain.axis"))
    bar = alt.Chart(alt.Data(values=segments)).mark_bar(height=34, stroke="white", strokeWidth=1.5).encode(
        x=x, x2="end:Q", y=alt.value(58), color=_color(),
        tooltip=[alt.Tooltip("label:N", title=text("explain.what")), alt.Tooltip("amount:N", title=text("explain.adds"))],
    )  # fmt: skip
    names = alt.Chart(alt.Data(values=named)).mark_text(dy=30, aria=False, limit=130).encode(
        x=alt.X("middle:Q", scale=scale), y=alt.value(58), text="label:N"
    )  # fmt: skip
    ends = [
        {"at": base, "label": f"{text('explain.base')} {money(base)}", "height": 8},
        {"at": price, "label": f"{text('explain.price')} {money(price)}", "height": 24},
    ]
    marks = alt.Chart(alt.Data(values=ends))
    rules = marks.mark_rule(strokeWidth=2).encode(x=alt.X("at:Q", scale=scale), y=alt.value(30), y2=alt.value(76))
    middle = (low + high) / 2
    said = [
        marks.transform_filter(f"datum.at === {end['at']}")
        .mark_text(align="left" if float(str(end["at"])) < middle else "right", fontWeight=600, aria=False)
        .encode(x=alt.X("at:Q", scale=scale), y=alt.value(end["height"]), text="label:N")
        for end in ends
    ]
    title = alt.TitleParams(text("explain.force"), anchor="start", offset=10)
    return alt.layer(bar, rules, names, *said).properties(title=title, height=_FORCE_PIXELS)


def _pushing(found: Iterable[Bar], price: float, *, up: bool) -> list[dict[str, Any]]:
    """Return the segments on one side of the price, the largest next to it."""
    segments, at = [], price
    for bar in sorted(found, key=lambda one: -abs(one.amount)):
        if bar.amount == 0 or (bar.amount > 0) != up:
            continue
        ends = sorted((at, at - bar.amount))
        at -= bar.amount
        segments.append({
            "start": ends[0], "end": ends[1], "middle": sum(ends) / 2, "label": bar.name,
            "amount": signed(bar.amount), "way": _way(bar.amount),
        })  # fmt: skip
    return segments


def _way(amount: float) -> str:
    return text("explain.up") if amount >= 0 else text("explain.down")


def _color() -> alt.Color:
    scale = alt.Scale(domain=[text("explain.up"), text("explain.down")], range=[UP, DOWN])
    return alt.Color("way:N", scale=scale, title=None, legend=alt.Legend(orient="top", offset=0))
