"""Tab Models: every version with its errors then and now, who was champion when, and the verdict in a sentence."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import streamlit as st

from frontend import charts, client, pages, reasons
from frontend.client import Json, Trouble
from frontend.formats import NOTHING, listed, moment, money, number, percent, when
from frontend.guard import guarded
from frontend.guard import show as show_trouble
from frontend.tables import Cell, pairs, pill, table
from frontend.texts import known, text

_REFRESH_SECONDS: Final = 15
_PAGE: Final = "models-page"
_REIGNS: Final = 20
# Events that say which version the alias names from then on.
_SETTINGS: Final = frozenset({"ALIAS_SET", "ADOPTED"})
_MEASURES: Final = ("rmse", "mae", "r2", "mdape", "rmsle")


@st.fragment(run_every=_REFRESH_SECONDS)
def show() -> None:
    """Draw the tab."""
    with guarded("models"):
        found = client.api().models(pages.offset(_PAGE))
        if isinstance(found, Trouble):
            show_trouble(found, "models")
        elif not found["models"]:
            st.info(text("models.none"), icon=":material/info:")
        else:
            _draw(found)


def with_champion(found: Json) -> list[Json]:
    """Return a page's versions, newest first, and the champion among them wherever it stands."""
    # An API of the release before, which a roll-out leaves beside the page for a while, does not tell it.
    champion: Json | None = found.get("champion")
    versions: list[Json] = found["models"]
    if champion is None or champion["version"] in {one["version"] for one in versions}:
        return versions
    return sorted([*versions, champion], key=lambda one: -int(one["version"]))


def _draw(found: Json) -> None:
    versions, about = with_champion(found), pages.part(found, "models")
    _history(versions)
    reigned = reigns(found["alias_events"], dt.datetime.now(dt.UTC))
    if reigned:
        newest = reigned[-_REIGNS:]
        cut = text("models.reigns_part", shown=len(newest), total=number(len(reigned))) if newest != reigned else ""
        charts.draw(charts.reigns(newest), "models.reigns", cut)
    st.html(table(
        [text(f"models.{name}") for name in
         ("version", "status", "registered", "batches", "rmse_then", "rmse_now", "verdict")],
        [_row(one) for one in versions], about, left=2, short=True,
    ))  # fmt: skip
    pages.choose(found, _PAGE)
    if any(one["now"] for one in versions):
        st.caption(text("models.then_now"))
    chosen = st.selectbox(
        text("models.choose"), [one["version"] for one in versions], key="model-chosen", persist_state="session",
        format_func=lambda version: text("models.version_of", version=version),
    )  # fmt: skip
    with st.container(border=True, key="model-detail"):
        _detail(chosen)


def _history(versions: Sequence[Json]) -> None:
    which = st.segmented_control(
        text("models.measured_on"), ["then", "now"], key="measured-on", required=True, default="now",
        format_func=lambda name: text(f"models.{name}"), persist_state="session",
    )  # fmt: skip
    rows = points(versions, which)
    if rows:
        charts.draw(charts.history(rows), "models.chart", text(f"models.{which}_about"))
    else:
        st.caption(text("models.no_errors"))


def points(versions: Iterable[Json], which: str) -> list[dict[str, Any]]:
    """Return the history's points: a version's RMSE and MAE then, or now; none where it was not measured."""
    return [
        {"version": one["version"], "measure": measure.upper(), "error": one[which][measure],
         "champion": one["status"] == "production"}
        for one in sorted(versions, key=lambda one: int(one["version"]))
        for measure in ("rmse", "mae")
        if one[which] and one[which][measure] is not None
    ]  # fmt: skip


def reigns(events: Iterable[Mapping[str, Any]], now: dt.datetime) -> list[dict[str, Any]]:
    """Return who was champion from when to when, out of the alias's events; the last one until now."""
    settings = sorted((one for one in events if one["kind"] in _SETTINGS), key=lambda one: int(one["event_id"]))
    ends = [*(when(one["at"]) for one in settings[1:]), now]
    return [
        {"version": one["candidate"], "start": one["at"], "end": (end or now).isoformat(), "now": end is now}
        for one, end in zip(settings, ends, strict=False)
        if one["candidate"]
    ]


def _row(one: Json) -> list[str | Cell]:
    then, now = one["then"] or {}, one["now"] or {}
    verdict, why = one["verdict"], reasons.sentence(one["reasons"][0]) if one["reasons"] else ""
    return [
        Cell(str(one["version"]), "strong"),
        pill(one["status"], known("status_of", one["status"])),
        moment(one["registered_at"]), listed(one["trained_on"]),
        money(then.get("rmse")), money(now.get("rmse")),
        Cell(why, "words", lead=pill(verdict, known("verdict", verdict))) if verdict else NOTHING,
    ]  # fmt: skip


def _detail(version: int) -> None:
    found = client.api().model(version)
    if isinstance(found, Trouble):
        show_trouble(found, "model")
        return
    st.subheader(text("models.version_of", version=version), anchor=False)
    card = found["card"]
    st.html(pairs([
        (text("models.status"), pill(found["status"], known("status_of", found["status"]))),
        (text("models.registered"), moment(found["registered_at"])),
        (text("models.batches"), listed(found["trained_on"])),
        (text("models.rows"), number(found["rows"])),
        (text("models.trees"), number(found["trees"])),
        *((known("parameter", name), _plain(value)) for name, value in (card.get("parameters") or {}).items()),
    ]))  # fmt: skip
    if found["verdict"]:
        st.markdown(f"**{known('verdict', found['verdict'])}** · {moment(found['decided_at'])} UTC")
        st.html(reasons.listed(found["reasons"]))
    else:
        st.caption(text("models.undecided"))
    measured = [(name, found[name]) for name in ("then", "now") if found[name]]
    if measured:
        st.html(table(
            [text("models.measured_on"), *(text(f"metric.{name}") for name in _MEASURES), text("models.test_rows"),
             text("models.batches")],
            [[text(f"models.{name}"), *metrics(one), number(one["rows"]), listed(one["batches"])]
             for name, one in measured],
            text("models.errors"),
        ))  # fmt: skip
    with st.expander(text("models.files")):
        st.html(table(
            [text("models.file"), "SHA-256", text("models.bytes")],
            [[one["path"], one["sha256"][:16] + "…", number(one["bytes"])] for one in found["files"]], left=2,
        ))  # fmt: skip


def metrics(measured: Mapping[str, Any]) -> list[str]:
    """Return a model's five errors in their units."""
    return [
        money(measured["rmse"]), money(measured["mae"]), number(measured["r2"], 3), percent(measured["mdape"]),
        number(measured["rmsle"], 3),
    ]  # fmt: skip


def _plain(value: object) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
