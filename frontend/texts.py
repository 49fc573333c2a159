"""Every text of the page, in English and in Spanish: `texts.toml` holds them, `text` says one in the language chosen.

What the ledger says in English is said anew from its codes and figures in other languages (`reasons`, `paragraph`);
names of the API's fields it has no text for stay as they are.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import streamlit as st

LANGUAGES: Final = {"en": "English", "es": "Español"}
# What the ledger says by itself, in English: these sections hold what that is in the other languages.
LEDGER_LANGUAGE: Final = "en"
LEDGER_SECTIONS: Final = frozenset({"because", "told"})
_FILE: Final = Path(__file__).with_name("texts.toml")


@cache
def every() -> Mapping[str, Mapping[str, str]]:
    """Return every text by its key, `section.name`, and its language."""
    sections: dict[str, dict[str, Any]] = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return {f"{section}.{name}": both for section, held in sections.items() for name, both in held.items()}


def language() -> str:
    """Return the language chosen, at first the browser's."""
    if not st.runtime.exists():
        return next(iter(LANGUAGES))
    chosen = st.session_state.get("language")
    if chosen in LANGUAGES:
        return str(chosen)
    return "es" if str(st.context.locale or "").startswith("es") else "en"


def text(key: str, **values: object) -> str:
    """Return a text in the language chosen, its places filled."""
    return every()[key][language()].format(**values)


def known(section: str, name: object, otherwise: str | None = None) -> str:
    """Return the text for one of the API's own names; else `otherwise`, or the name itself."""
    found = every().get(f"{section}.{name}")
    return found[language()] if found else str(name) if otherwise is None else otherwise
