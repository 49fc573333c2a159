"""Nobody sees a traceback: a part that fails says so in a sentence with an id, and the log has the rest under it.

Troubles that are foreseen (the API away, no model yet, …) have sentences of their own that say what to do.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

import streamlit as st
import structlog

from frontend import client
from frontend.client import Trouble
from frontend.texts import every, text

# Nothing is broken: there is just nothing to show yet.
_EXPECTED: Final = frozenset({"no-model", "not-found", "not-ready"})
# The whole API is away: the banner says so, once for the page.
AWAY: Final = frozenset({"down", "slow", "stranger"})
NOTED_AWAY: Final = "api-away"


@contextmanager
def guarded(part: str) -> Iterator[None]:
    """Show a sentence in place of whatever a part of the page could not show."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  # the last place before the screen
        identity = secrets.token_hex(4)
        _log().error("part_failed", part=part, id=identity, exc_info=error)
        st.error(text("trouble.page_failed", id=identity), icon=":material/error:")


@cache
def _log() -> Any:
    processors: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(),
    ]
    return structlog.wrap_logger(structlog.PrintLogger(sys.stderr), processors=processors, step="frontend")


def sentence(trouble: Trouble) -> str:
    """Return what happened and what to do about it."""
    host = client.api().host
    key = f"trouble.{trouble.kind.replace('-', '_')}"
    said = text(key, host=host) if key in every() else text("trouble.unknown", host=host)
    return f"{said}  \n{trouble.detail}" if trouble.detail and trouble.kind != "ledger-down" else said


def show(trouble: Trouble, part: str) -> None:
    """Show a trouble in the place of a part of the page, with a way to try again."""
    with st.container(border=True, key=f"trouble-{part}"):
        if trouble.kind in _EXPECTED:
            st.info(sentence(trouble), icon=":material/info:")
        elif trouble.kind in AWAY:
            # The banner draws the page anew once the API is back.
            st.session_state[NOTED_AWAY] = True
            st.markdown(text("trouble.away"))
        else:
            st.warning(sentence(trouble), icon=":material/cloud_off:")
        st.button(text("trouble.retry"), key=f"retry-{part}", on_click=client.forget)
