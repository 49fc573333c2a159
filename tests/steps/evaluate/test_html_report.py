"""The page: whole in itself, words first, nothing of a listing's text taken for markup."""

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from steps.common.explanation import Advantage, Cell, Estimate, Explanation, Part, Rows, Side, Table
from steps.evaluate import change_plots, html_report, plots
from steps.evaluate.paragraph import sentences
from tests.steps.evaluate import explanations
from tests.steps.evaluate.test_paragraph import FEW_OUTSIDE, change

_RULES = settings(max_examples=40, suppress_health_check=list(HealthCheck))


@_RULES
@given(explanations.explanations)
def test_it_needs_nothing_else_and_holds_the_paragraph_first(tmp_path: Path, found: Explanation) -> None:
    told = found.model_copy(update={"paragraph": sentences(found)})
    page = html_report.write(tmp_path, told).read_text()
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:)|@import|url\(|<script|<link""", page)
    assert page.count('<p class="why">') == len(told.paragraph)
    assert "<b>" not in page
    assert page.endswith("</html>\n")
    if told.table:
        assert page.index('<p class="why">') < page.index("<table>")


@pytest.mark.parametrize(("rows", "cell"), [(12, "too few rows"), (30, "no")])
def test_of_too_few_houses_outside_it_is_not_said_that_their_part_may_be_chance(
    tmp_path: Path, rows: int, cell: str
) -> None:
    found = change(terms=[FEW_OUTSIDE], outside_rows=rows, needed_outside_rows=30)
    row = next(line for line in html_report.write(tmp_path, found).read_text().split("<tr") if "300 to 1,200" in line)
    assert f">{cell}</td>" in row


@pytest.mark.parametrize(("retrained", "names"), [
    (False, ["all test rows", "new to the champion", "of batches it was trained on"]),
    (True, ["all test rows", "of batch 5", "of batches 0, 1 and 4"]),
])  # fmt: skip
def test_houses_the_champion_was_trained_on_are_called_by_their_batches(
    tmp_path: Path, retrained: bool, names: list[str]
) -> None:
    size, batches = Estimate(low=1, point=2, high=3), {"new": (5,), "before": (0, 1, 4)}
    on: tuple[Rows, ...] = ("all", "new", "before")
    models: tuple[Part, ...] = ("champion", "candidate")
    cells = tuple(Cell(model=model, on=rows, rmse=size, mae=size) for rows in on for model in models)
    gains = tuple(Advantage(on=rows, rows=9, rmse=size, mae=size) for rows in on)
    sides = {name: Side(batches=held, rows=9, properties=9) for name, held in batches.items()}
    table = Table(confidence=0.95, cells=cells, gains=gains)
    found = change().model_copy(update={**sides, "table": table, "error_change": None, "retrained": retrained})
    page = html_report.write(tmp_path, found).read_text()
    assert re.findall(r"<tr><td>([^<]*), RMSE</td>", page) == names


def whole(found: Explanation) -> bool:
    return None not in {found.table, found.error_change, found.gain_split, found.attributions}


@settings(_RULES, max_examples=3)
@given(explanations.explanations.filter(whole))
def test_pictures_are_drawn_of_every_part_and_embedded(tmp_path: Path, found: Explanation) -> None:
    plots.without_a_screen(tmp_path)
    drawn = change_plots.draw(tmp_path, found)
    assert {path.name for path in drawn} == {change_plots.ERROR_CHANGE, change_plots.GAIN, change_plots.SHAP_CHANGE}
    page = html_report.write(tmp_path, found).read_text()
    assert page.count('src="data:image/png;base64,') == len(drawn)
