"""Figures and times for people: money in dollars, shares in percent, moments in UTC. Nothing known is a dash."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Final

NOTHING: Final = "\N{EN DASH}"
_DASH: Final = "\N{EN DASH}"
_MINUS: Final = "\N{MINUS SIGN}"
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def money(value: float | None) -> str:
    """Return whole dollars: $287,413."""
    if value is None:
        return NOTHING
    return f"{_MINUS}${-value:,.0f}" if round(value) < 0 else f"${abs(value):,.0f}"


def signed(value: float | None) -> str:
    """Return whole dollars with their sign: +$1,200."""
    return money(value) if value is None or round(value) <= 0 else f"+{money(value)}"


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share in percent: 12.7%."""
    return NOTHING if value is None else f"{value:.{digits}%}".replace("-", _MINUS)


def number(value: float | None, digits: int = 0) -> str:
    """Return a number with its thousands apart."""
    return NOTHING if value is None else f"{value:,.{digits}f}".replace("-", _MINUS)


def moment(text: str | None) -> str:
    """Return a time of the API in UTC: 2026-11-26 10:02."""
    found = when(text)
    return NOTHING if found is None else f"{found:%Y-%m-%d %H:%M}"


def when(text: str | None) -> dt.datetime | None:
    """Return a time of the API, None where there is none."""
    return None if not text else dt.datetime.fromisoformat(text).astimezone(dt.UTC)


def duration(seconds: float | None) -> str:
    """Return a length of time: 45 s, 3 min, 2.5 h, 4 d."""
    if seconds is None:
        return NOTHING
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.1f} h" if seconds < _DAY else f"{seconds / _DAY:.0f} d"


def listed(numbers: Iterable[int]) -> str:
    """Return numbers in a row, runs of them by their ends alone."""
    runs: list[list[int]] = []
    for one in sorted(set(numbers)):
        if runs and one == runs[-1][-1] + 1:
            runs[-1].append(one)
        else:
            runs.append([one])
    return ", ".join(f"{run[0]}{_DASH}{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs) or NOTHING
