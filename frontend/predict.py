"""Tab Predict: a form drawn from the API's schema, the price, the version that made it."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from itertools import batched
from typing import Any, Final

import streamlit as st

from frontend import client, form, reasons
from frontend.client import Json, Trouble
from frontend.form import Field, SchemaUnreadable
from frontend.formats import NOTHING, money
from frontend.guard import sentence
from frontend.guard import show as show_trouble
from frontend.navigation import open_tab
from frontend.texts import known, text

_EARLIEST, _LATEST = dt.date(1800, 1, 1), dt.date(2100, 1, 1)
_PRICED: Final = "priced"
_FIELDS: Final = "fields"
_CATEGORIES: Final = "known-categories"


@dataclass(frozen=True)
class Priced:
    """A listing that was sent, and the answer to it."""

    listing: Mapping[str, Any]
    answer: Json | Trouble


def show() -> None:
    """Draw the tab."""
    fields = form_fields()
    if isinstance(fields, Trouble):
        show_trouble(fields, "predict")
        return
    info = client.api().model_info()
    if not isinstance(info, Trouble):
        st.session_state[_CATEGORIES] = info["known_categories"]
    # While the API is away, those it last had: a list must not turn into a field to type in.
    categories = st.session_state.get(_CATEGORIES, {})
    left, right = st.columns([3, 2], gap="large")
    with left, st.form("house", border=False, enter_to_submit=True):
        typed = _draw(fields, categories)
        if st.form_submit_button(text("predict.button"), type="primary", key="price-it"):
            listing = form.listing(typed)
            st.session_state[_PRICED] = Priced(listing, client.api().predict(listing))
            # Once more from the top: the hints stand under fields that are drawn already.
            st.rerun()
    with right, st.container(border=True):
        _result(fields)


def form_fields() -> tuple[Field, ...] | Trouble:
    """Return the fields of a listing, as the API's document has them; while it is away, those it last had."""
    document = client.api().manual()
    if isinstance(document, Trouble):
        last: tuple[Field, ...] | None = st.session_state.get(_FIELDS)
        return last or document
    try:
        found = form.fields(document)
    except SchemaUnreadable:
        return Trouble("stranger")
    st.session_state[_FIELDS] = found
    return found


def priced() -> Priced | None:
    """Return what was priced last in this session."""
    found: Priced | None = st.session_state.get(_PRICED)
    return found


def price_example(fields: tuple[Field, ...]) -> None:
    """Price the listing that the schema's examples make."""
    listing = form.listing({field.name: field.example for field in fields})
    st.session_state[_PRICED] = Priced(listing, client.api().predict(listing))


def label(field: Field) -> str:
    """Return a field's name with its unit, and whether it may be left empty."""
    title = known("field", field.name, field.title)
    unit = known("unit", field.unit or field.name, field.unit)
    optional = "" if field.required else f" · {text('predict.optional')}"
    return f"{title} ({unit}){optional}" if unit else f"{title}{optional}"


def _draw(fields: tuple[Field, ...], categories: Json) -> dict[str, Any]:
    typed = {}
    for pair in batched(fields, 2, strict=False):
        for place, field in zip(st.columns(2), pair, strict=False):
            with place:
                typed[field.name] = _widget(field, form.choices(field, categories))
                st.html(f'<div class="ap-hint">{escape(_hint(field)) or "&nbsp;"}</div>')
    return typed


def _widget(field: Field, choices: list[str]) -> Any:
    key, name = f"field-{field.name}", label(field)
    st.session_state.setdefault(key, _default(field, choices))
    about = known("about", field.name, field.description) or None
    kept: dict[str, Any] = {"key": key, "help": about, "persist_state": "session"}
    if field.kind == "number":
        least, most = _number(field, field.minimum), _number(field, field.maximum)
        shape = "%d" if field.whole else "%g"
        return st.number_input(name, least, most, value=None, step=_step(field), format=shape, **kept)
    if field.kind == "date":
        return st.date_input(name, None, _EARLIEST, _LATEST, format="YYYY-MM-DD", **kept)
    if choices:
        return st.selectbox(
            name, choices, None, format_func=lambda value: known("value", value, value.replace("_", " ").title()),
            accept_new_options=True, **kept,
        )  # fmt: skip
    return st.text_input(name, None, autocomplete="off", **kept)


def _default(field: Field, choices: list[str]) -> Any:
    if field.kind == "number":
        return _number(field, field.example)
    if field.kind == "date":
        return dt.date.fromisoformat(field.example) if field.example else None
    if choices:
        wanted = str(field.example).lower()
        return wanted if wanted in choices else choices[0]
    return None if field.example is None else str(field.example)


def _number(field: Field, value: Any) -> Any:
    """Return a number of the kind the widget wants: one kind for value, bounds and step."""
    if value is None:
        return None
    return int(value) if field.whole else float(value)


def _step(field: Field) -> Any:
    """Return a step of a hundredth to a tenth of the example, whole where the example is."""
    example = abs(float(field.example or 1)) or 1.0
    step = 10.0 ** (math.floor(math.log10(example)) - 1)
    return _number(field, max(1.0, step) if example.is_integer() else step)


def _hint(field: Field) -> str:
    """Return what the last answer says of a field whose value is still the one that was sent."""
    last = priced()
    sent = form.listing({field.name: st.session_state.get(f"field-{field.name}")}).get(field.name)
    if last is None or last.listing.get(field.name) != sent:
        return ""
    if isinstance(last.answer, Trouble):
        return "; ".join(reasons.rule(fault, field) for fault in last.answer.faults if fault.field == field.name)
    return text("predict.unseen") if field.name in last.answer["unseen_fields"] else ""


def _result(fields: tuple[Field, ...]) -> None:
    last = priced()
    if last is None:
        _price(NOTHING, text("predict.nothing_yet"))
    elif isinstance(last.answer, Trouble):
        _price(NOTHING, "")
        st.warning(_refusal(last.answer, fields), icon=":material/error:")
    else:
        made = text("predict.made_by", version=last.answer["model_version"])
        _price(money(last.answer["price"]), made)
        unseen = [known("field", name) for name in last.answer["unseen_fields"]]
        if unseen:
            st.caption(text("predict.unseen_fields", fields=", ".join(unseen)))
        st.button(
            text("predict.why"), key="to-explain", on_click=open_tab, args=("explain",), icon=":material/arrow_forward:"
        )


def _price(figure: str, about: str) -> None:
    st.html(
        f'<div class="ap-price" aria-live="polite"><div class="label">{escape(text("predict.price"))}</div>'
        f'<div class="figure" data-testid="price">{escape(figure)}</div>'
        f'<div class="about">{escape(about)}</div></div>'
    )


def _refusal(trouble: Trouble, fields: tuple[Field, ...]) -> str:
    if not trouble.faults:
        return sentence(trouble)
    named = {field.name: field for field in fields}
    return "  \n".join(
        f"**{known('field', fault.field)}**: {reasons.rule(fault, named.get(fault.field))}" for fault in trouble.faults
    )
