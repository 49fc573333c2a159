"""Tab Batch: many houses from a file, priced in pieces; what was priced stays when the API goes away in the middle."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import batched
from statistics import median
from typing import Any, Final

import pandas as pd
import streamlit as st

from frontend import client, csv_rows
from frontend.client import Trouble
from frontend.csv_rows import MOST_BYTES, MOST_ROWS, Batch, FileRefused, Row
from frontend.form import Field
from frontend.formats import NOTHING, money, number
from frontend.guard import sentence
from frontend.guard import show as show_trouble
from frontend.predict import form_fields
from frontend.tables import Cell, table
from frontend.texts import known, text

_PIECE: Final = 500
_SHOWN_REFUSALS: Final = 200
_TABLE_PIXELS: Final = 420
_RUN: Final = "batch-run"


@dataclass(frozen=True)
class Outcome:
    """What became of a row: a price and the version that made it, or the problem."""

    price: float | None
    version: int | None
    problem: str = ""
    unseen: tuple[str, ...] = ()


@dataclass
class Run:
    """A file that is being priced: its rows, and their outcomes by line."""

    digest: str
    batch: Batch
    outcomes: dict[int, Outcome] = field(default_factory=dict)

    @property
    def waiting(self) -> list[Row]:
        """Return the rows that were not sent yet."""
        return [row for row in self.batch.rows if row.line not in self.outcomes]


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
    digest = hashlib.sha256(content).hexdigest()
    known_run: Run | None = st.session_state.get(_RUN)
    if known_run is not None and known_run.digest == digest:
        return known_run
    try:
        run = Run(digest, csv_rows.parse(content, fields))
    except FileRefused as refused:
        st.session_state.pop(_RUN, None)
        st.error(text(refused.key, **refused.values), icon=":material/error:")
        return None
    for row in run.batch.rows:
        if not row.whole:
            run.outcomes[row.line] = Outcome(None, None, text("batch.ragged"))
    st.session_state[_RUN] = run
    return run


def _work(run: Run, fields: Sequence[Field]) -> None:
    waiting = run.waiting
    said = [text("batch.found", rows=number(len(run.batch.rows)))]
    if run.batch.ignored:
        said.append(text("batch.ignored", columns=", ".join(run.batch.ignored)))
    st.markdown(" ".join(said))
    if waiting and st.button(text("batch.button", rows=number(len(waiting))), type="primary", key="price-rows"):
        trouble = _price(run, waiting, fields)
        if trouble is None:
            # Once more from the top: there is nothing left to press the button for.
            st.rerun()
        else:
            st.warning(f"{text('batch.interrupted')}  \n{sentence(trouble)}", icon=":material/cloud_off:")
    if len(run.outcomes) > 0 and any(one.version for one in run.outcomes.values()):
        _results(run, fields)


def _price(run: Run, waiting: Sequence[Row], fields: Sequence[Field]) -> Trouble | None:
    """Send the rows piece by piece; return why it ended early."""
    bar = st.progress(0.0, text("batch.progress", done=0, rows=number(len(waiting))))
    done = 0
    for piece in batched(waiting, _PIECE, strict=False):
        answer = client.api().predict_batch([row.listing(fields) for row in piece])
        if isinstance(answer, Trouble):
            bar.empty()
            return answer
        for row, result in zip(piece, answer["results"], strict=True):
            run.outcomes[row.line] = _outcome(result, answer["model_version"])
        done += len(piece)
        bar.progress(done / len(waiting), text("batch.progress", done=number(done), rows=number(len(waiting))))
    bar.empty()
    return None


def _outcome(result: dict[str, Any], version: int) -> Outcome:
    fault = result["error"]
    problem = f"{known('field', fault['field'])}: {fault['rule']}" if fault else ""
    return Outcome(result["price"], version, problem, tuple(result["unseen_fields"]))


def _results(run: Run, fields: Sequence[Field]) -> None:
    ordered = [(row, run.outcomes[row.line]) for row in run.batch.rows if row.line in run.outcomes]
    refused = [(row, one) for row, one in ordered if one.price is None]
    prices = [one.price for _, one in ordered if one.price is not None]
    with st.container(horizontal=True):
        st.metric(text("batch.priced"), number(len(prices)), border=True)
        st.metric(text("batch.refused"), number(len(refused)), border=True)
        st.metric(text("batch.median"), money(median(prices)) if prices else NOTHING, border=True)
    names = [one.name for one in fields]
    columns = ["line", *names, "price", "model_version", "problem", "unseen_fields"]
    rows = [
        [row.line, *(row.cells.get(name, "") for name in names), one.price, one.version, one.problem,
         " ".join(one.unseen)]
        for row, one in ordered
    ]  # fmt: skip
    st.download_button(
        text("batch.download"), csv_rows.written(columns, rows), "appraiser-prices.csv", "text/csv", key="results",
        on_click="ignore", icon=":material/download:", type="secondary" if run.waiting else "primary",
    )  # fmt: skip
    shown = pd.DataFrame(rows, columns=columns)[["line", "price", "problem", *names]]
    st.dataframe(shown, hide_index=True, height=_TABLE_PIXELS, placeholder="", key="prices", column_config={
        "line": st.column_config.NumberColumn(text("batch.line"), format="%d", pinned=True, width="small"),
        "price": st.column_config.NumberColumn(text("predict.price"), format="$%,.0f"),
        "problem": text("batch.problem"),
        **{name: known("field", name) for name in names},
    }, alt=text("batch.table_alt"))  # fmt: skip
    if refused:
        listed: list[list[str | Cell]] = [
            [str(row.line), Cell(one.problem, "words")] for row, one in refused[:_SHOWN_REFUSALS]
        ]
        st.html(table([text("batch.line"), text("batch.problem")], listed, text("batch.refusals"), left=2, short=True))
        if len(refused) > _SHOWN_REFUSALS:
            st.caption(text("batch.more_refusals", shown=_SHOWN_REFUSALS))
