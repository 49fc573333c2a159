"""Tab Why it changed: one comparison of two versions, told in words, tables and charts, and as a file to keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import streamlit as st

from frontend import changes, charts, client, pages, paragraph, reasons, report
from frontend.client import Json, Trouble
from frontend.formats import NOTHING, moment, money, number, percent
from frontend.guard import show as show_trouble
from frontend.models import with_champion
from frontend.texts import known, text

_PAGE: Final = "why-page"


def show() -> None:
    """Draw the tab."""
    found = client.api().models(pages.offset(_PAGE))
    if isinstance(found, Trouble):
        show_trouble(found, "why")
        return
    pages.choose(found, _PAGE)
    compared = [one for one in with_champion(found) if one["then"]]
    if not compared:
        st.info(text("why.none"), icon=":material/info:")
        return
    versions = [one["version"] for one in compared]
    champions = [one["version"] for one in compared if one["status"] == "production"]
    chosen = st.selectbox(
        text("why.choose"), versions, versions.index(champions[0]) if champions else 0, key="why-chosen",
        format_func=lambda version: _label(next(one for one in compared if one["version"] == version)),
        persist_state="session",
    )  # fmt: skip
    detail = client.api().model(chosen)
    if isinstance(detail, Trouble):
        show_trouble(detail, "why-version")
        return
    own = [one for one in detail["comparisons"] if one["role"] == "candidate"]
    if not own:
        st.info(text("why.none"), icon=":material/info:")
        return
    if len(own) > 1:
        place = st.selectbox(
            text("why.which"), range(len(own)), key=f"why-comparison-{chosen}",
            format_func=lambda at: f"{changes.title(own[at])} · {moment(own[at]['measured_at'])}",
        )  # fmt: skip
        _draw(own[place])
    else:
        _draw(own[0])


def _label(one: Json) -> str:
    verdict = known("verdict", one["verdict"]) if one["verdict"] else text("status.running")
    return text("why.version_label", version=one["version"], batch=one["batch_number"], verdict=verdict)


def _draw(compared: Json) -> None:
    explanation: Mapping[str, Any] = compared.get("explanation") or {}
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader(changes.title(compared), anchor=False)
        st.download_button(
            text("why.report"), report.page(compared), report.file_name(compared), "text/html", key="report",
            on_click="ignore", icon=":material/download:",
        )  # fmt: skip
    if compared["verdict"]:
        st.markdown(f"**{known('verdict', compared['verdict'])}**")
        st.html(reasons.listed(compared["reasons"]))
    if explanation.get("paragraph"):
        st.html(changes.paragraph(paragraph.sentences(explanation)))
    elif not compared["champion_version"]:
        st.info(text("why.first"), icon=":material/info:")
    else:
        st.info(text("why.not_explained"), icon=":material/info:")
    st.html(changes.errors(compared["evidence"]))
    for drawn in (_table, _error_change, _gain_split, _attributions, _slices):
        drawn(compared["evidence"], explanation)


def _table(_: Mapping[str, Any], explanation: Mapping[str, Any]) -> None:
    if explanation.get("table"):
        st.html(changes.table_of(explanation))


def _error_change(_: Mapping[str, Any], explanation: Mapping[str, Any]) -> None:
    found = explanation.get("error_change")
    if not found:
        return
    chart = charts.intervals(changes.terms(found), charts.dollars(text("why.rmse_axis")))
    charts.draw(chart, "why.error_change", text("why.error_change_about"))
    st.caption(text(
        "why.common", share=percent(found["outside_share"]), common=number(found["common_properties"]),
        effective=number(found["effective_properties"]),
    ))  # fmt: skip
    if found["novelties"]:
        with st.expander(text("why.novelties")):
            st.html(changes.novelties(found["novelties"]))


def _gain_split(_: Mapping[str, Any], explanation: Mapping[str, Any]) -> None:
    found = explanation.get("gain_split")
    if not found:
        return
    chart = charts.intervals(changes.parts(found), charts.dollars(text("why.rmse_axis")))
    charts.draw(chart, "why.gain_split", text("why.gain_split_about", luck=money(found["luck"])))
    st.html(changes.fits(found["fits"]))


def _attributions(_: Mapping[str, Any], explanation: Mapping[str, Any]) -> None:
    found = explanation.get("attributions")
    if not found or not found["features"]:
        return
    chart = charts.attributions(changes.features(found["features"]))
    charts.draw(chart, "why.shap", text("why.shap_about", rows=number(found["rows"])))
    with st.expander(text("why.shap_table")):
        st.html(changes.attributions(found["features"]))


def _slices(evidence: Mapping[str, Any], _: Mapping[str, Any]) -> None:
    slices: Sequence[Mapping[str, Any]] = evidence.get("slices") or ()
    if slices:
        with st.expander(text("why.slices")):
            st.html(changes.slices(slices))
    if evidence.get("notes"):
        st.caption(" ".join(map(str, evidence["notes"])) or NOTHING)
