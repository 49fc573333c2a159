"""The page: what a house is worth and why, what the models were and are, what was decided and why.

It asks the API alone. Each tab is a file; only the open one is drawn, and what was typed in the others stays.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import streamlit as st

from frontend import batch, batches, explain, models, predict, status, why
from frontend.guard import guarded
from frontend.navigation import TABS, follow, labels, remember
from frontend.texts import LANGUAGES, language, text

_STYLE: Final = Path(__file__).with_name("style.css")
_ICON: Final = Path(__file__).with_name("icon.svg")
_DARK: Final = ':root { --ap-paper: #14191a; } [data-testid^="stBaseButton-primary"] * { color: #0d1b1a; }'
_SHOW: Final[dict[str, Callable[[], None]]] = {
    "predict": predict.show, "batch": batch.show, "explain": explain.show, "models": models.show,
    "batches": batches.show, "why": why.show,
}  # fmt: skip


def main() -> None:
    """Draw the page once."""
    # Of our own: a browser fetches one that has a name from a host of Google's.
    st.set_page_config("Appraiser", _ICON, layout="wide", menu_items={"About": None})
    st.html(_STYLE)
    if st.context.theme.type == "dark":
        # Streamlit writes white on the accent, which is light there: 2.4 to 1.
        st.html(f"<style>{_DARK}</style>")
    with guarded("sidebar"), st.sidebar:
        _choose_language()
        status.show()
    st.html(f'<h1 class="ap-title"><b>Appraiser</b> <span>{text("page.about")}</span></h1>')
    with guarded("banner"):
        status.warn()
    chosen = language()
    # Not as the tabs' default: one that changes with every click makes quick clicks undo each other.
    st.session_state.setdefault(f"tabs-{chosen}", labels()[TABS.index(st.session_state.get("tab", TABS[0]))])
    places = st.tabs(labels(), key=f"tabs-{chosen}", on_change=remember, args=(chosen,))
    for tab, place in zip(TABS, places, strict=True):
        if place.open:
            with place, guarded(tab):
                _SHOW[tab]()


def _choose_language() -> None:
    st.session_state.setdefault("language", language())
    st.segmented_control(
        "Language · Idioma", list(LANGUAGES), format_func=LANGUAGES.__getitem__, key="language", required=True,
        on_change=follow,
        label_visibility="collapsed", width="stretch",
    )  # fmt: skip


main()
