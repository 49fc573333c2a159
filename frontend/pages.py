"""A long history, a page at a time: which page is shown, what part of the whole it is, and the way to the others."""

from __future__ import annotations

from math import ceil

import streamlit as st

from frontend.client import PAGE, Json
from frontend.formats import number
from frontend.texts import text


def offset(key: str) -> int:
    """Return how many entries stand before the page chosen under a key."""
    return (int(st.session_state.get(key, 1)) - 1) * PAGE


def choose(found: Json, key: str) -> None:
    """Draw the way to the other pages, where an answer of the API is not all there is."""
    count = ceil(found["total"] / PAGE)
    if count > 1:
        st.pagination(count, key=key, persist_state="session")


def part(found: Json, entries: str) -> str:
    """Return what of a history an answer of the API holds, `models` or `batches`: all of it, or from where on."""
    shown = len(found[entries])
    if shown >= found["total"]:
        return text("models.table" if entries == "models" else "batches.table")
    first = found["offset"] + 1
    return text(
        "models.table_part" if entries == "models" else "batches.table_part",
        first=number(first), last=number(first + shown - 1), total=number(found["total"]),
    )  # fmt: skip
