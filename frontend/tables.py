"""Tables as HTML: read by people, screen readers and tests alike, on the page and in the report that is taken away.

Everything in them is escaped; a cell may be marked to stand out, to be long, or to be a pill.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, Literal

Look = Literal["", "strong", "words", "good", "bad", "quiet", "up", "down"]

# How a verdict, an outcome or a place looks; whatever is not here is quiet.
_LOOKS: Final[Mapping[str, Look]] = {
    "PROMOTE": "good", "TRAIN": "good", "production": "good",
    "REJECT": "bad", "QUARANTINE": "bad", "ABANDONED": "bad", "refused": "bad",
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """A cell that is more than its text; `pill` puts it into a rounded frame, `lead` is one that stands before it."""

    text: str
    look: Look = ""
    pill: bool = False
    lead: Cell | None = None


def pill(name: str | None, shown: str) -> Cell:
    """Return a verdict, an outcome or a place as a pill."""
    return Cell(shown, _LOOKS.get(name or "", "quiet"), pill=True)


def table(
    head: Sequence[str], rows: Iterable[Sequence[str | Cell]], caption: str = "", *, left: int = 1, short: bool = False
) -> str:
    """Return a table; the first `left` columns are words, and those whose cells look so, the others figures.

    It scrolls by itself where it is wide, and where `short` is wanted and it is long.
    """
    held = list(rows)
    wordy = {place for row in held for place, one in enumerate(row) if isinstance(one, Cell) and one.look == "words"}
    wordy.update(range(left))
    above = f"<caption>{escape(caption)}</caption>" if caption else ""
    names = "".join(
        f'<th scope="col" class="{_side(place in wordy)}">{escape(one)}</th>' for place, one in enumerate(head)
    )
    body = "".join(f"<tr>{''.join(_cell(one, place in wordy) for place, one in enumerate(row))}</tr>" for row in held)
    named = escape(caption or head[0])
    return (
        f'<div class="ap-scroll{" ap-short" * short}" tabindex="0" role="region" aria-label="{named}">'
        f'<table class="ap-table">{above}<thead><tr>{names}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def pairs(held: Iterable[tuple[str, str | Cell]]) -> str:
    """Return names and values, one under the other."""
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{_inside(value)}</dd></div>" for name, value in held)
    return f'<dl class="ap-pairs">{rows}</dl>'


def sentences(held: Iterable[str]) -> str:
    """Return sentences as a list."""
    return f'<ul class="ap-sentences">{"".join(f"<li>{escape(one)}</li>" for one in held)}</ul>'


def _cell(cell: str | Cell, wordy: bool) -> str:
    look = cell.look if isinstance(cell, Cell) and not cell.pill else ""
    return f'<td class="{_side(wordy)} {look}">{_inside(cell)}</td>'


def _inside(cell: str | Cell) -> str:
    if isinstance(cell, Cell) and cell.pill:
        return f'<span class="ap-pill {cell.look}">{escape(cell.text)}</span>'
    if isinstance(cell, Cell) and cell.lead:
        return f"{_inside(cell.lead)} {escape(cell.text)}"
    return escape(cell.text if isinstance(cell, Cell) else cell)


def _side(wordy: bool) -> str:
    return "words" if wordy else "figure"
