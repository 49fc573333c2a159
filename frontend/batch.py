"""Tab Batch: many houses from a file, priced in pieces; what was priced stays when the API goes away in the middle."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Final

import pandas as pd
import streamlit as st

from frontend import batch_run, client, csv_rows
from frontend.batch_run import Run
from frontend.client import Trouble
from frontend.csv_rows import MOST_BYTES, MOST_ROWS, FileRefused
from frontend.form import Field
from frontend.formats import NOTHING, money, number
from frontend.guard import sentence
from frontend.guard import show as show_trouble
from frontend.predict import form_fields
from frontend.tables import Cell, table
from frontend.texts import known, text

_SHOWN_REFUSALS: Final = 200
_TABLE_PIXELS: Final = 420
_RUN: Final = "batch-run"


def show() -> None:
    """Draw the tab."""
    fields = form_fields()
    if isinstance(fields, Trouble):
        show_trouble(fields, "batch")
        return
    st.markdown(text("batch.about", rows=number(MOST_ROWS), megabytes=MOST_BYTES // 1_000_000))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        given = st.file_uploader(text("batch.file"), type="csv", key="csv", max_upload_size=MOST_BYTES // 1_000_000)
        st.download_button(
            text("batch.template"), csv_rows.template(fields), "appraiser-template.csv", "text/csv", key="template",
            on_click="ignore", icon=":material/download:",
        )  # fmt: skip
    run = _opened(given.getvalue(), fields) if given is not None else st.session_state.get(_RUN)
    if run is not None:
        _work(run, fields)


def _opened(content: bytes, fields: Sequence[Field]) -> Run | None:
    """Return the file's run, the one that was begun where it is the same file."""
    begun: Run | None = st.session_state.get(_RUN)
    if begun is not None and begun.digest == batch_run.digest(content):
        return begun
    try:
        run = batch_run.begin(content, fields)
    except FileRefused as refused:
        st.session_state.pop(_RUN, None)
        st.error(text(refused.key, **refused.values), icon=":material/error:")
        return None
    st.session_state[_RUN] = run
    return run


def _work(run: Run, fields: Sequence[Field]) -> None:
    waiting = len(run.waiting)
    said = [text("batch.found", rows=number(len(run.batch.rows)))]
    if run.batch.ignored:
        said.append(text("batch.ignored", columns=", ".join(run.batch.ignored)))
    st.markdown(" ".join(said))
    if waiting and st.button(text("batch.button", rows=number(waiting)), type="primary", key="price-rows"):
        trouble = _price(run, waiting, fields)
        if trouble is None:
            # Once more from the top: there is nothing left to press the button for.
            st.rerun()
        else:
            st.warning(f"{text('batch.interrupted')}  \n{sentence(trouble)}", icon=":material/cloud_off:")
    if run.has_results:
        _results(run, fields)


def _price(run: Run, waiting: int, fields: Sequence[Field]) -> Trouble | None:
    """Price what waits under a bar that tells how far it is; return why it ended early."""
    bar = st.progress(0.0, text("batch.progress", done=0, rows=number(waiting)))
    trouble = None
    for done in batch_run.price(run, fields, client.api().predict_batch):
        if isinstance(done, Trouble):
            trouble = done
        else:
            bar.progress(done / waiting, text("batch.progress", done=number(done), rows=number(waiting)))
    bar.empty()
    return trouble


def _results(run: Run, fields: Sequence[Field]) -> None:
    refused = [(row, one) for row, one in run.ended if one.price is None]
    prices = [one.price for _, one in run.ended if one.price is not None]
    with st.container(horizontal=True):
        st.metric(text("batch.priced"), number(len(prices)), border=True)
        st.metric(text("batch.refused"), number(len(refused)), border=True)
        st.metric(text("batch.median"), money(median(prices)) if prices else NOTHING, border=True)
    columns, rows = batch_run.columns(fields), batch_run.rows(run, fields)
    st.download_button(
        text("batch.download"), csv_rows.written(columns, rows), "appraiser-prices.csv", "text/csv", key="results",
        on_click="ignore", icon=":material/download:", type="secondary" if run.waiting else "primary",
    )  # fmt: skip
    names = [one.name for one in fields]
    shown = pd.DataFrame(rows, columns=columns)[["line", "price", "problem", *names]]
    st.dataframe(shown, hide_index=True, height=_TABLE_PIXELS, placeholder="", key="prices", column_config={
        "line": st.column_config.NumberColumn(text("batch.line"), format="%d", pinned=True, width="small"),
        "price": st.column_config.NumberColumn(text("predict.price"), format="$%,.0f"),
        "problem": text("batch.problem"),
        **{name: known("field", name) for name in names},
    }, alt=text("batch.table_alt"))  # fmt: skip
    if refused:
        listed: list[list[str | Cell]] = [
            [str(row.line), Cell(batch_run.problem(row, one, fields), "words")]
            for row, one in refused[:_SHOWN_REFUSALS]
        ]
        st.html(table([text("batch.line"), text("batch.problem")], listed, text("batch.refusals"), left=2, short=True))
        if len(refused) > _SHOWN_REFUSALS:
            st.caption(text("batch.more_refusals", shown=_SHOWN_REFUSALS))
