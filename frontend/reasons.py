"""Why something was decided: in English the ledger's own sentence, else one built from the reason's code and figures.

Reasons of earlier releases may lack a figure; they stay in the ledger's words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from string import Formatter
from typing import Any, Final

from frontend import tables
from frontend.client import Fault
from frontend.form import Field
from frontend.formats import NOTHING, money, percent
from frontend.texts import LEDGER_LANGUAGE, every, known, language, text

Json = Mapping[str, Any]

_OUT_OF_SCOPE: Final = "OUT_OF_SCOPE"
_MORE: Final = " and "
# How a figure may be written beyond what Python's own formats say.
_WRITTEN: Final[Mapping[str, Callable[[Any], str]]] = {
    "dollars": money,
    "size": lambda value: money(abs(value)),
    "percent": lambda value: percent(value).replace(".0%", "%"),
    "excess": lambda value: percent(value - 1),
    "version": lambda value: NOTHING if value is None else str(value),
}


class _Filled(Formatter):
    """Fills a sentence's places; a figure that is missing or no figure raises, for then the sentence cannot be told."""

    def format_field(self, value: Any, format_spec: str) -> str:
        """Return one figure as its place wants it."""
        if format_spec in _WRITTEN:
            return _WRITTEN[format_spec](value)
        if value is None:
            raise ValueError("a place has no value")
        written: str = super().format_field(value, format_spec)
        return written


_FILLED: Final = _Filled()


def sentence(reason: Json) -> str:
    """Return a reason in the language chosen; the ledger's own sentence where no other can be told."""
    own = str(reason["sentence"])
    if language() == LEDGER_LANGUAGE:
        return own
    told = _told(reason)
    if told is None:
        return own
    named = {**reason, "about": _about(reason.get("about")), "by": known("slice", reason.get("by"))}
    try:
        return _FILLED.vformat(told, (), named)
    except (KeyError, TypeError, ValueError):
        return own


def rule(fault: Fault, field: Field | None) -> str:
    """Return the rule a value breaks: in English as the API says it, else by its reason and the field's bounds."""
    told = known("broken", fault.reason, "")
    if language() == LEDGER_LANGUAGE or not told:
        return fault.rule
    least, most = (field.minimum, field.maximum) if field else (None, None)
    if fault.reason == _OUT_OF_SCOPE and least is not None and most is not None:
        return text("thing.between", least=f"{least:,.10g}", most=f"{most:,.10g}")
    return told


def listed(reasons: Sequence[Json]) -> str:
    """Return reasons as a list; where they are told anew, the ledger's own are folded below, for they say more."""
    own = [str(reason["sentence"]) for reason in reasons]
    told = [sentence(reason) for reason in reasons]
    if told == own:
        return tables.sentences(own)
    folded = f"<details><summary>{escape(text('thing.own'))}</summary>{tables.sentences(own)}</details>"
    return tables.sentences(told) + folded


def _told(reason: Json) -> str | None:
    """Return the sentence for a reason's code: one for the rule that failed, what came of it or its object first."""
    code = f"because.{reason.get('code')}"
    unmeasured = ["_unmeasured"] if reason.get("measured") is None else []
    ends = [*(f"_{reason.get(name)}" for name in ("failed", "outcome", "about")), *unmeasured, ""]
    held = next((every()[f"{code}{end}"] for end in ends if f"{code}{end}" in every()), {})
    return held.get(language())


def _about(names: str | None) -> str:
    """Return what a reason is about for people: columns, a version, or how many more there are."""
    if names is None:
        return NOTHING
    listed, more, rest = names.partition(_MORE)
    shown = ", ".join(_name(one) for one in listed.split(", "))
    count = rest.removesuffix(" more")
    return f"{shown}, +{count}" if more else shown


def _name(one: str) -> str:
    kind, _, version = one.partition(" ")
    return f"{known('thing', kind)} {version}" if version.isdigit() else known("field", one)
