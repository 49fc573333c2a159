"""Tab Explain: why a price is what it is, as a waterfall, a force plot and a table in human terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from frontend import charts, client, waterfall
from frontend.client import Trouble
from frontend.formats import money, signed
from frontend.guard import show as show_trouble
from frontend.navigation import open_tab
from frontend.predict import Priced, form_fields, price_example, priced
from frontend.tables import Cell, pairs, table
from frontend.texts import known, text


def show() -> None:
    """Draw the tab for the listing that was priced last."""
    last = priced()
    if last is None or isinstance(last.answer, Trouble):
        _nothing_priced()
        return
    _house(last)
    answer = client.api().explain(last.listing)
    if isinstance(answer, Trouble):
        show_trouble(answer, "explain")
        return
    base, price = float(answer["base"]["dollars"]), float(answer["price"])
    st.html(
        f'<div class="ap-price" style="min-height:6.5rem"><div class="label">{text("predict.price")}</div>'
        f'<div class="figure" data-testid="explained-price">{money(price)}</div>'
        f'<div class="about">{text("predict.made_by", version=answer["model_version"])}</div></div>'
    )
    bars = waterfall.bars(answer)
    about = text("explain.waterfall_from", base=money(base), price=money(price))
    charts.draw(waterfall.waterfall(bars, base, price), "explain.waterfall", about)
    charts.draw(waterfall.force(bars, base, price), "explain.force")
    head = [text("explain.what"), text("explain.value"), text("explain.adds")]
    st.html(table(head, rows(answer), text("explain.table"), left=2))
    st.caption(text("explain.method"))


def _nothing_priced() -> None:
    st.info(text("explain.nothing_yet"), icon=":material/info:")
    fields = form_fields()
    with st.container(horizontal=True):
        st.button(text("explain.to_form"), key="to-predict", on_click=open_tab, args=("predict",), type="primary")
        if not isinstance(fields, Trouble):
            st.button(text("explain.example"), key="example", on_click=price_example, args=(fields,))


def _house(last: Priced) -> None:
    fields = form_fields()
    units = {} if isinstance(fields, Trouble) else {field.name: field.unit for field in fields}
    with st.expander(text("explain.house"), icon=":material/home:"):
        st.html(pairs([(named(name, units.get(name, "")), str(value)) for name, value in last.listing.items()]))
        st.button(text("explain.other"), key="other-house", on_click=open_tab, args=("predict",))


def named(name: str, unit: str) -> str:
    """Return a field's name with its unit."""
    unit = known("unit", unit or name, unit)
    return f"{known('field', name)} ({unit})" if unit else known("field", name)


def rows(answer: Mapping[str, Any]) -> list[list[str | Cell]]:
    """Return the table's rows: from the base, contribution by contribution, to the price."""
    found: list[list[str | Cell]] = [[text("explain.base"), "", money(answer["base"]["dollars"])]]
    found += [[waterfall.name(one), waterfall.value(one), signed(one["dollars"])] for one in answer["contributions"]]
    return [*found, [Cell(text("explain.price"), "strong"), "", Cell(money(answer["price"]), "strong")]]
