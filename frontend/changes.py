"""One comparison of two versions and its explanation, as tables and figures: for the tab and for the file to keep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

from frontend.charts import Figure
from frontend.formats import NOTHING, listed, money, number, percent, signed
from frontend.tables import Cell, table
from frontend.texts import known, text

Json = Mapping[str, Any]

_MEASURES: Final = ("rmse", "mae", "r2", "mdape", "rmsle")
_CALENDAR: Final = frozenset({"prev_sold_year", "prev_sold_month"})


def title(compared: Json) -> str:
    """Return which two versions are compared."""
    candidate, champion = compared["candidate_version"], compared["champion_version"]
    if not champion:
        return text("why.alone", candidate=candidate)
    return text("why.pair", candidate=candidate, champion=champion)


def paragraph(said: Iterable[str]) -> str:
    """Return the explanation's own words."""
    return f'<div class="ap-prose">{"".join(f"<p>{escape(one)}</p>" for one in said)}</div>'


def errors(evidence: Json) -> str:
    """Return both models' errors on the same test rows, and what a model that only knows the median price does."""
    models = [("candidate", evidence["candidate"]), ("champion", evidence["champion"])]
    rows: list[list[str | Cell]] = [
        [text(f"why.{name}", version=one["version"]), *_metrics(one["metrics"]), listed(one["batches"])]
        for name, one in models
        if one
    ]
    rows.append([text("why.baseline"), *_metrics(evidence["baseline"]), NOTHING])
    head = [text("why.model"), *(text(f"metric.{name}") for name in _MEASURES), text("why.learned_from")]
    about = text("why.same_rows", rows=number(evidence["rows"]), batches=listed(evidence["batches"]))
    return table(head, rows, about)


def _metrics(found: Json) -> list[str]:
    return [
        money(found["rmse"]), money(found["mae"]), number(found["r2"], 3), percent(found["mdape"]),
        number(found["rmsle"], 3),
    ]  # fmt: skip


def table_of(explanation: Json) -> str:
    """Return the two models on the houses before, the new ones and all, as an explanation that has a table says."""
    found = explanation["table"]
    cells = {(cell["model"], cell["on"]): cell for cell in found["cells"]}
    rows: list[list[str | Cell]] = []
    for gain in found["gains"]:
        pair = [cells[model, gain["on"]]["rmse"] for model in ("champion", "candidate")]
        clear = gain["rmse"]["low"] > 0 or gain["rmse"]["high"] < 0
        rows.append([
            _side(explanation, gain["on"]), number(gain.get("rows")), *(_estimate(one) for one in pair),
            Cell(_estimate(gain["rmse"], sign=True), "strong" if clear else ""),
        ])  # fmt: skip
    head = [text(f"why.{name}") for name in ("houses", "rows", "champion_short", "candidate_short", "gain")]
    return table(head, rows, text("why.table", confidence=percent(found["confidence"], 0)))


def _side(explanation: Json, on: str) -> str:
    """Return which houses; the champion was trained on all of them where somebody has it trained again."""
    if on == "all" or not explanation.get("retrained"):
        return text(f"why.on_{on}")
    numbers = (explanation.get(on) or {}).get("batches", ())
    if len(numbers) == 1:
        return text("batches.batch_of", number=numbers[0])
    return text("why.on_batches", batches=listed(numbers))


def _estimate(found: Json, *, sign: bool = False) -> str:
    point = signed(found["point"]) if sign else money(found["point"])
    return f"{point} ({money(found['low'])} … {money(found['high'])})"


def terms(found: Json) -> list[Figure]:
    """Return what the change of the champion's error consists of, and the whole of it."""
    parts = [_figure(text(f"why.term_{one['name']}"), one["rmse"], real=one["real"]) for one in found["terms"]]
    return [*parts, _figure(text("why.together"), found["rmse"], real=found["real"])]


def parts(found: Json) -> list[Figure]:
    """Return what the gain consists of: data, parameters, and what the sample does not show."""
    beyond = float(found["beyond_sample"])
    return [
        _figure(text("why.data"), found["data"], real=found["data_real"]),
        _figure(text("why.parameters"), found["parameters"], real=found["parameters_real"]),
        Figure(text("why.beyond"), beyond, beyond, beyond, real=False),
    ]


def _figure(name: str, estimate: Json, *, real: bool) -> Figure:
    return Figure(name, float(estimate["point"]), float(estimate["low"]), float(estimate["high"]), real)


def fits(found: Iterable[Json]) -> str:
    """Return the four fits that data and tuning are told apart by."""
    rows = [
        [text(f"why.of_{one['parameters']}"), text(f"why.of_{one['data']}"), number(one["rows"]), money(one["rmse"])]
        for one in found
    ]
    head = [text(f"why.{name}") for name in ("fit_parameters", "fit_data", "rows", "fit_rmse")]
    return table(head, rows, text("why.fits"), left=2)


def features(found: Iterable[Json]) -> list[dict[str, Any]]:
    """Return how much more or less each feature moves prices, as the chart takes it."""
    return [
        {
            "name": known("feature", one["feature"]), "change": one["change"]["point"], "low": one["change"]["low"],
            "high": one["change"]["high"], "luck": one["luck"], "stands_out": one["stands_out"],
        }
        for one in found
    ]  # fmt: skip


def attributions(found: Iterable[Json]) -> str:
    """Return how much each feature moves prices in both models, and which change stands out of luck."""
    rows = [
        [known("feature", one["feature"]), f"{one['champion']:.4f}", f"{one['candidate']:.4f}",
         f"{one['change']['point']:+.4f}", f"{one['change']['low']:+.4f} … {one['change']['high']:+.4f}",
         f"{one['luck']:.4f}", text("why.yes") if one["stands_out"] else text("why.no")]
        for one in found
    ]  # fmt: skip
    names = ("feature", "champion_short", "candidate_short", "change", "band", "luck", "stands_out")
    return table([text(f"why.{name}") for name in names], rows, text("why.shap_table"))


def novelties(found: Iterable[Json]) -> str:
    """Return what of the new houses the champion had never met, by field."""
    rows = [
        [known("field", one["field"], known("feature", one["field"])), _novelty(one),
         number(one["rows"]), percent(one["share"]), number(one["rows_before"])]
        for one in found
    ]  # fmt: skip
    names = ("feature", "never_met", "rows", "share", "rows_before")
    return table([text(f"why.{name}") for name in names], rows, text("why.novelties"), left=2)


def _novelty(one: Json) -> str:
    if one.get("value") is not None:
        return str(one["value"])
    if one.get("low") is None:
        return NOTHING
    written = ".10g" if one["field"] in _CALENDAR else ",.10g"
    return text("why.outside", low=f"{one['low']:{written}}", high=f"{one['high']:{written}}")


def slices(found: Sequence[Json]) -> str:
    """Return both models' RMSE per slice of the test rows."""
    rows = []
    for one in found:
        candidate, champion = one["candidate"]["rmse"], (one["champion"] or {}).get("rmse")
        change = percent(candidate / champion - 1) if candidate is not None and champion else NOTHING
        rows.append([
            known("slice", one["by"]), str(one["value"]), number(one["rows"]), money(champion), money(candidate),
            change,
        ])  # fmt: skip
    names = ("slice_by", "slice", "rows", "champion_short", "candidate_short", "change")
    head = [text(f"why.{name}") for name in names]
    return table(head, rows, text("why.slices"), left=2)
