"""Tab Batches: the audit. What came, what was new in it, what was refused, what was decided, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import streamlit as st

from frontend import charts, client, pages, reasons
from frontend.client import Json, Trouble
from frontend.formats import NOTHING, duration, moment, money, number, percent
from frontend.guard import guarded
from frontend.guard import show as show_trouble
from frontend.tables import Cell, pairs, pill, sentences, table
from frontend.texts import known, text

_REFRESH_SECONDS: Final = 15
_STEPS: Final = ("validate", "promote")
_PAGE: Final = "batches-page"
_CHANGED_PSI: Final = 0.25
_THOUSAND: Final = 1000


@st.fragment(run_every=_REFRESH_SECONDS)
def show() -> None:
    """Draw the tab."""
    with guarded("batches"):
        found = client.api().batches(pages.offset(_PAGE))
        if isinstance(found, Trouble):
            show_trouble(found, "batches")
        elif not found["batches"]:
            st.info(text("batches.none"), icon=":material/info:")
        else:
            _draw(found)


def _draw(found: Json) -> None:
    batches: Sequence[Json] = found["batches"]
    head = ("number", "result", "taken", "rows", "refused", "validate", "promote", "versions", "took")
    st.html(table([text(f"batches.{name}") for name in head], [_row(one) for one in batches],
                  pages.part(found, "batches"), left=2, short=True))  # fmt: skip
    pages.choose(found, _PAGE)
    chosen = st.selectbox(
        text("batches.choose"), [one["batch_number"] for one in batches], key="batch-chosen", persist_state="session",
        format_func=lambda number: text("batches.batch_of", number=number),
    )  # fmt: skip
    with st.container(border=True, key="batch-detail"):
        detail = client.api().batch(chosen)
        if isinstance(detail, Trouble):
            show_trouble(detail, "one-batch")
        else:
            _detail(detail)


def _row(one: Json) -> list[str | Cell]:
    outcome = one["outcome"]
    return [
        Cell(str(one["batch_number"]), "strong"),
        pill(outcome, known("verdict", outcome) if outcome else text("status.running")),
        moment(one["claimed_at"]), number(one["rows"]), number(one["refused"]),
        *(known("verdict", one[step]["verdict"]) if one[step] else NOTHING for step in _STEPS),
        _versions(one), duration(one["seconds"]),
    ]  # fmt: skip


def _versions(one: Json) -> str:
    candidate, champion = one["candidate_version"], one["champion_version"]
    if candidate is None:
        return NOTHING
    return text("batches.against", candidate=candidate, champion=champion) if champion else str(candidate)


def _detail(found: Json) -> None:
    st.subheader(text("batches.batch_of", number=found["batch_number"]), anchor=False)
    report: Mapping[str, Any] = found["report"] or {}
    counts: Mapping[str, Any] = report.get("counts") or {}
    st.html(pairs([
        (text("batches.taken"), moment(found["claimed_at"])),
        (text("batches.rows"), number(found["rows"])),
        (text("batches.kept"), number(counts["kept"] if found["refused"] is not None else None)),
        (text("batches.growth"), percent(counts.get("growth"), 0)),
        (text("batches.repeated"), number(counts.get("same_property_rows"))),
        (text("batches.attempt"), f"{found['attempt']} / {found['attempts']}"),
        (text("batches.gain"), _gain(found["gain"])),
        (text("batches.content"), f"{found['content_sha'][:16]}…"),
    ]))  # fmt: skip
    _verdicts(found)
    if report:
        _measured(found, report)
    with st.expander(text("batches.steps")):
        _steps(found["steps"])
    if found["alerts"]:
        st.html(sentences(f"{moment(one['raised_at'])} · {one['message']}" for one in found["alerts"]))


def _gain(gain: Mapping[str, float] | None) -> str:
    return text("batches.interval", low=money(gain["low"]), high=money(gain["high"])) if gain else NOTHING


def _verdicts(found: Json) -> None:
    for step in _STEPS:
        if found[step] is not None:
            judged = found[step]
            st.markdown(f"**{text(f'batches.{step}')} {known('verdict', judged['verdict'])}** · "
                        f"{moment(judged['decided_at'])} UTC")  # fmt: skip
            st.html(reasons.listed(judged["reasons"]))
    if found["outcome"] == "ABANDONED":
        st.caption(text("batches.abandoned"))
    elif found["validate"] is None:
        st.caption(text("batches.undecided"))


def _measured(found: Json, report: Mapping[str, Any]) -> None:
    """Draw what validate measured of a batch; of one that it refused, and of the first, that is not all."""
    drift: Mapping[str, Mapping[str, Any]] | None = report["drift"]
    left, right = st.columns(2, gap="large")
    with left:
        if drift is None:
            unusable = found["validate"]["verdict"] == "QUARANTINE"
            st.caption(text("batches.unusable" if unusable else "batches.no_drift"))
        else:
            rows = drift_rows(drift, found["policy"])
            charts.draw(charts.drift(rows), "batches.drift", text("batches.drift_about"))
    with right:
        _refusals(report["counts"]["refused_by_reason"], cleaned=found["refused"] is not None)
        if drift is not None:
            _new_values(drift)
    with st.expander(text("batches.schema")):
        _schema(report["columns"])


def drift_rows(drift: Mapping[str, Mapping[str, Any]], policy: Mapping[str, Any]) -> list[Json]:
    """Return each column's PSI for the chart, the largest first; it changed by the rule that validate applies."""
    least = float(policy.get("psi", _CHANGED_PSI))
    return [
        {"column": known("field", name), "psi": one["psi"], "chance": one["chance"],
         "changed": one["psi"] >= least + one["chance"]}
        for name, one in sorted(drift.items(), key=lambda held: -held[1]["psi"])
    ]  # fmt: skip


def _refusals(reasons: Mapping[str, int], *, cleaned: bool) -> None:
    """Draw which rows are refused for what; before cleaning it is what validate expects."""
    if not reasons:
        st.caption(text("batches.no_refusals" if cleaned else "batches.none_to_refuse"))
        return
    rows = []
    for both, count in reasons.items():
        reason, _, field = both.partition(" ")
        rows.append([known("field", field), known("reason", reason), number(count)])
    st.html(table([text("batches.column"), text("batches.reason"), text("batches.rows")], rows,
                  text("batches.refusals" if cleaned else "batches.to_refuse"), left=2))  # fmt: skip


def _new_values(drift: Mapping[str, Mapping[str, Any]]) -> None:
    rows = [
        [known("field", name), new["value"], number(new["rows"]), percent(new["share"])]
        for name, one in drift.items()
        for new in one.get("new_values", ())[:3]
    ]
    if rows:
        head = [text(f"batches.{name}") for name in ("column", "new_value", "rows", "share")]
        st.html(table(head, rows, text("batches.new_values"), left=2))
    else:
        st.caption(text("batches.no_new_values"))


def _schema(columns: Mapping[str, Mapping[str, Any]]) -> None:
    rows = [
        [known("field", name), percent(one["missing_share"]), percent(one["malformed_share"]), number(one["distinct"]),
         *(value(name, one[end]) for end in ("minimum", "median", "maximum"))]
        for name, one in columns.items()
    ]  # fmt: skip
    head = [text(f"batches.{name}") for name in
            ("column", "missing", "malformed", "distinct", "minimum", "median", "maximum")]  # fmt: skip
    st.html(table(head, rows, text("batches.as_received")))


def value(column: str, found: float | None) -> str:
    """Return a column's number for people; a date's, an ordinal day, is for none."""
    if found is None or column == "prev_sold_date":
        return NOTHING
    if column == "price":
        return money(found)
    return number(found) if abs(found) >= _THOUSAND else f"{found:.3g}"


def _steps(steps: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        [one["step"], moment(one["completed_at"]), duration(one["seconds"]),
         text("batches.adopted") if one["adopted"] else known("exit", one["exit_code"])]
        for one in steps
    ]  # fmt: skip
    head = [text(f"batches.{name}") for name in ("step", "completed", "took", "how")]
    st.html(table(head, rows, text("batches.steps")))
