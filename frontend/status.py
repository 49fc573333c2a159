"""What one looks at first: is the API there, which version is in production, how old is what it knows.

The sidebar and the banner above the tabs ask again by themselves, apart from the rest: nobody loses what they typed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

import streamlit as st

from frontend import client
from frontend.client import Json, Trouble
from frontend.formats import NOTHING, duration, listed, moment, number, when
from frontend.guard import AWAY, NOTED_AWAY, guarded, sentence
from frontend.tables import pairs, sentences
from frontend.texts import every, known, text

_REFRESH_SECONDS: Final = 10
_STALE: Final = dt.timedelta(days=1)
_ALERT_SHOWN: Final = dt.timedelta(days=7)
_ALERTS_SHOWN: Final = 20
_STEPS: Final = ("promote", "validate")


@st.fragment(run_every=_REFRESH_SECONDS)
def show() -> None:
    """Draw the sidebar's facts."""
    with guarded("status"):
        ready = client.api().ready()
        down = isinstance(ready, Trouble)
        name, said = connection(ready)
        st.html(
            f'<div role="status"><span class="ap-dot{" bad" if down else ""}"></span>'
            f"<b>{escape(name)}</b><br>{escape(said)}</div>"
        )
        info = client.api().model_info() if not down else ready
        batches = client.api().batches() if not down else ready
        st.html(pairs([*_model(info), *_newest(batches)]))
        st.caption(text("status.asked", host=client.api().host, time=f"{dt.datetime.now(dt.UTC):%H:%M:%S}"))


def connection(ready: Json | Trouble) -> tuple[str, str]:
    """Return whether the API is there, and what that means: one that answers is, also while it gives no prices."""
    if not isinstance(ready, Trouble):
        return text("status.api"), text("status.connected")
    if ready.kind in AWAY:
        return text("status.api_down"), text("status.not_connected")
    return text("status.api_waits"), text("status.waits")


def _model(info: Json | Trouble) -> list[tuple[str, str]]:
    if isinstance(info, Trouble):
        none = info.kind == "no-model"
        return [(text("status.model"), text("status.no_model") if none else NOTHING), (text("status.trained"), NOTHING)]
    card = info["card"]
    return [
        (text("status.model"), text("status.version", version=info["model_version"])),
        (text("status.trained"), moment(card.get("trained_at"))),
        (text("status.learned"), text("status.rows", rows=number(card.get("rows")), batches=listed(card["batches"]))),
    ]


def _newest(found: Json | Trouble) -> list[tuple[str, str]]:
    if isinstance(found, Trouble) or not found["batches"]:
        return [(text("status.batch"), NOTHING)]
    newest = found["batches"][0]
    outcome = known("verdict", newest["outcome"]) if newest["outcome"] else text("status.running")
    return [
        (text("status.batch"), f"{newest['batch_number']} · {outcome}"),
        (text("status.verdict"), moment(_decided(found["batches"]))),
    ]


def _decided(batches: Iterable[Mapping[str, Any]]) -> str | None:
    """Return when the newest verdict of any step was given."""
    times = [one[step]["decided_at"] for one in batches for step in _STEPS if one.get(step)]
    return max(times, default=None)


@st.fragment(run_every=_REFRESH_SECONDS)
def warn() -> None:
    """Draw what somebody should know before anything else; nothing where all is well."""
    with guarded("banner"):
        # One after the other: an API that hangs is asked once.
        ready = client.api().ready()
        if isinstance(ready, Trouble):
            st.session_state[NOTED_AWAY] = True
            with st.container(key="away"):
                st.error(sentence(ready), icon=":material/cloud_off:")
            return
        if st.session_state.pop(NOTED_AWAY, False):
            client.forget()
            # The tabs show that there is nothing to show.
            st.rerun()
        api, now = client.api(), dt.datetime.now(dt.UTC)
        for said in warnings(api.model_info(), api.batches(), now):
            st.warning(said, icon=":material/warning:")
        new = fresh(api.alerts(), now)
        if new:
            # Folded: a message has as many figures as it needs, and would push the page off a phone's screen.
            with st.expander(heading(new), icon=":material/warning:", key="alerts"):
                st.html(sentences(f"{moment(one['raised_at'])} · {one['message']}" for one in new[:_ALERTS_SHOWN]))


def fresh(alerts: Json | Trouble, now: dt.datetime) -> list[Mapping[str, Any]]:
    """Return the alerts of the last days, newest first."""
    if isinstance(alerts, Trouble):
        return []
    return [one for one in alerts["alerts"] if now - (when(one["raised_at"]) or now) < _ALERT_SHOWN]


def heading(alerts: Sequence[Mapping[str, Any]]) -> str:
    """Return in a line how many alerts there are, and what the newest is about."""
    newest = alerts[0]
    what = known("alert", newest["code"])
    if newest["batch_number"] is not None:
        what = f"{what}, {text('batches.batch_of', number=newest['batch_number'])}"
    return text("status.alert", count=len(alerts), what=what, time=moment(newest["raised_at"]))


def warnings(info: Json | Trouble, batches: Json | Trouble, now: dt.datetime) -> list[str]:
    """Return what is to be warned of: an alias that cannot be followed, verdicts that are old."""
    said = []
    if not isinstance(info, Trouble) and info["alias"]["trouble"]:
        # What is merely down comes back: whoever moves the alias then has two troubles.
        alias = info["alias"]
        key = f"alias.{alias.get('outcome')}"
        told = {"version": info["model_version"], "said": alias["trouble"]}
        # An API of another release, beside the page during a roll-out, may know an end that has no sentence here.
        said.append(text(key, **told) if key in every() else alias["trouble"])
    if not isinstance(batches, Trouble):
        decided = when(_decided(batches["batches"]))
        if decided is not None and now - decided > _STALE:
            said.append(text("status.stale", age=duration((now - decided).total_seconds())))
    return said
