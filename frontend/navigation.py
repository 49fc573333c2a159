"""Which tab is open: it stays when the language changes, and a link may open another."""

from __future__ import annotations

from typing import Final

import streamlit as st

from frontend.texts import language, text

TABS: Final = ("predict", "batch", "explain", "models", "batches", "why")


def labels() -> list[str]:
    """Return the names of the tabs in the language chosen."""
    return [text(f"tab.{tab}") for tab in TABS]


def remember(chosen: str) -> None:
    """Note the tab that was just opened in a language."""
    opened = st.session_state.get(f"tabs-{chosen}")
    if opened in labels():
        st.session_state["tab"] = TABS[labels().index(opened)]


def follow() -> None:
    """Take the open tab along into the language just chosen."""
    open_tab(st.session_state.get("tab", TABS[0]))


def open_tab(tab: str) -> None:
    """Open a tab, as a link on another does."""
    st.session_state["tab"] = tab
    st.session_state[f"tabs-{language()}"] = labels()[TABS.index(tab)]
