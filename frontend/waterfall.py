"""How a price comes about, as pictures: a waterfall of the largest contributions and a force plot.

Both run from the model's base to the price in dollars. What is beyond the largest is one bar, so that the bars always
add up to the price.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import altair as alt

from frontend.charts import DOWN, QUIET, UP, Drawing, dollars, ink, plot
from frontend.formats import money, signed
from frontend.texts import known, text

MOST: Final = 15
_ROW_PIXELS: Final = 42
_FRAME_PIXELS: Final = 80
_FORCE_PIXELS: Final = 224
# Where the bar of the force plot lies, from the top of its plot.
_FORCE_LINE: Final = 70
_MARGIN: Final = 0.06
# What a phone has room for.
_LABEL_PIXELS: Final = 340
# A segment of the force plot narrower than this share of it has no room for its name.
_NAMED_SHARE: Final = 0.17
_WORD: Final = re.compile(r"[a-z]\w*")
# The API's own words in a value.
_NOT_GIVEN: Final = "not given"
_NEVER_SEEN: Final = " (never seen)"
_MEASURED: Final = frozenset({"acre_lot", "house_size"})


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


def value(contribution: Mapping[str, Any]) -> str:
    """Return a contribution's value for people: the API's words in the language chosen, names as one writes them."""
    feature, said = str(contribution["feature"]), str(contribution["value"])
    if said == _NOT_GIVEN:
        return text("word.not_given")
    if feature == "prev_sold_month":
        return known("word", said.lower(), said)
    if feature in _MEASURED:
        number, _, unit = said.partition(" ")
        return f"{number} {known('unit', unit, unit)}"
    return ", ".join(map(_named, said.split(", "))) if feature.endswith("price") else _known_or_not(said)


def _named(said: str) -> str:
    """Return the name of a place or a kind of sale; the model knows them in lower case."""
    if said == _NOT_GIVEN:
        return text("word.not_given")
    name = said.removesuffix(_NEVER_SEEN)
    capital = _WORD.sub(lambda word: word[0].capitalize().replace("_", " "), name)
    return _known_or_not(known("value", name, capital) + said[len(name) :])


def _known_or_not(said: str) -> str:
    name = said.removesuffix(_NEVER_SEEN)
    return name if name == said else f"{name} ({text('word.never_seen')})"


def bars(explanation: Mapping[str, Any], most: int = MOST) -> list[Bar]:
    """Return the bars of an answer of /explain, the largest first, from base to price."""
    given = explanation["contributions"]
    kept, rest = given[:most], given[most:]
    amounts = [(name(one), value(one), float(one["dollars"])) for one in kept]
    if rest:
        amounts.append((text("explain.others", count=len(rest)), "", sum(float(one["dollars"]) for one in rest)))
    found, at = [], float(explanation["base"]["dollars"])
    for title, said, amount in amounts:
        found.append(Bar(title, said, amount, at, at + amount))
        at += amount
    return found


def waterfall(found: Sequence[Bar], base: float, price: float) -> Drawing:
    """Draw the bars one under the other, each from where the one above ended, between a mark for base and for price."""
    rows = [
        {
            "place": place, "label": f"{bar.name} · {bar.value}" if bar.value else bar.name, "start": bar.start,
            "end": bar.end, "right": max(bar.start, bar.end), "amount": signed(bar.amount), "way": _way(bar.amount),
        }
        for place, bar in enumerate(found, 1)
    ]  # fmt: skip
    ends = [
        {"place": place, "label": text(f"explain.{key}"), "right": at, "amount": money(at)}
        for place, key, at in ((0, "base", base), (len(found) + 1, "price", price))
    ]
    reached = [base, price, *(bar.end for bar in found)]
    margin = _MARGIN * max(max(reached) - min(reached), 1.0)
    # On the right there is room for an amount.
    scale = alt.Scale(domain=[min(reached) - margin, max(reached) + 4 * margin], nice=False, zero=False)
    y = alt.Y("place:O", axis=None, scale=alt.Scale(paddingInner=0.62, paddingOuter=0.5))
    every, marked = (plot(held) for held in ([*rows, *ends], ends))
    drawn = plot(rows).mark_bar(cornerRadius=2).encode(
        x=alt.X("start:Q", scale=scale, axis=dollars(text("explain.axis")), title=text("explain.axis")), x2="end:Q",
        y=y, color=_color(), tooltip=_hints(),
    )  # fmt: skip
    right = alt.X("right:Q", scale=scale)
    marks = marked.mark_tick(thickness=4, size=22, color=QUIET, aria=False).encode(x=right, y=y)
    labels = every.mark_text(align="left", baseline="bottom", dy=-10, limit=_LABEL_PIXELS, aria=False).encode(
        x=alt.value(0), y=y, text="label:N"
    )
    amounts = every.mark_text(align="left", dx=6, fontWeight=600, aria=False).encode(x=right, y=y, text="amount:N")
    return alt.layer(drawn, marks, labels, amounts).properties(height=_ROW_PIXELS * (len(rows) + 2) + _FRAME_PIXELS)


def force(found: Iterable[Bar], base: float, price: float) -> Drawing:
    """Draw what pushes the price up from the left against what pushes it down from the right; they meet at it."""
    held = list(found)
    segments = [*pushing(held, price, up=True), *pushing(held, price, up=False)]
    low = min([base, price, *(one["start"] for one in segments)])
    high = max([base, price, *(one["end"] for one in segments)])
    width = max(high - low, 1.0)
    scale = alt.Scale(domain=[low - _MARGIN * width, high + _MARGIN * width], nice=False, zero=False)
    line = alt.value(_FORCE_LINE)
    bar = plot(segments).mark_bar(height=34, stroke=ink()[2], strokeWidth=1).encode(
        x=alt.X("start:Q", scale=scale, axis=dollars(text("explain.axis")), title=text("explain.axis")), x2="end:Q",
        y=line, color=_color(), tooltip=_hints(),
    )  # fmt: skip
    named = [one for one in segments if (one["end"] - one["start"]) / width >= _NAMED_SHARE]
    names = plot(named).mark_text(dy=30, aria=False, limit=130).encode(
        x=alt.X("middle:Q", scale=scale), y=line, text="label:N"
    )  # fmt: skip
    return alt.layer(bar, names, *_ends(base, price, (low + high) / 2, scale)).properties(height=_FORCE_PIXELS)


def _ends(base: float, price: float, middle: float, scale: alt.Scale) -> list[alt.Chart]:
    """Return the marks of base and price with their words, one above the other lest they meet."""
    drawn = []
    for key, at, height in (("base", base, 12), ("price", price, 32)):
        one = plot([{"at": at, "label": f"{text(f'explain.{key}')} {money(at)}"}])
        x = alt.X("at:Q", scale=scale)
        side: Literal["left", "right"] = "left" if at < middle else "right"
        drawn.append(one.mark_rule(strokeWidth=2, aria=False).encode(
            x=x, y=alt.value(height - 8), y2=alt.value(_FORCE_LINE + 17)
        ))  # fmt: skip
        drawn.append(one.mark_text(align=side, dx=6 if side == "left" else -6, fontWeight=600, aria=False).encode(
            x=x, y=alt.value(height), text="label:N"
        ))  # fmt: skip
    return drawn


def pushing(found: Iterable[Bar], price: float, *, up: bool) -> list[dict[str, Any]]:
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


def _hints() -> list[alt.Tooltip]:
    return [alt.Tooltip("label:N", title=text("explain.what")), alt.Tooltip("amount:N", title=text("explain.adds"))]


def _color() -> alt.Color:
    scale = alt.Scale(domain=[text("explain.up"), text("explain.down")], range=[UP, DOWN])
    return alt.Color("way:N", scale=scale, title=None, legend=alt.Legend(orient="top", offset=0))
