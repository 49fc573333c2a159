"""The table of an explanation that serving made: from the base to the price, with every contribution."""

from typing import Any

import pytest

from frontend.explain import named, rows
from frontend.tables import Cell
from serving import explanation
from steps.common.features import FEATURES
from tests.serving.running import MARKET, write_model


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    model = write_model(tmp_path_factory.mktemp("model"), 20)
    price, _, base, contributions = explanation.explain(model, MARKET[0])
    return {"price": price, "base": base, "contributions": contributions}


def text(cell: str | Cell) -> str:
    return cell.text if isinstance(cell, Cell) else cell


def dollars(shown: str) -> int:
    return int(shown.replace("\N{MINUS SIGN}", "-").replace("$", "").replace(",", ""))


def test_the_dollars_add_up_from_the_base_to_the_price(answer: dict[str, Any]) -> None:
    amounts = [dollars(text(row[-1])) for row in rows(answer)]
    base, *parts, price = amounts
    assert price == round(answer["price"])
    # Each is rounded to a dollar.
    assert abs(base + sum(parts) - price) <= len(parts) / 2 + 1


def test_every_feature_has_a_row_with_a_name_for_people(answer: dict[str, Any]) -> None:
    _, *parts, _ = rows(answer)
    names = [text(row[0]) for row in parts]
    assert len(names) == len(set(names)) == len(FEATURES)
    assert set(names) & set(FEATURES) == set()


@pytest.mark.parametrize(("field", "unit", "wanted"), [
    ("house_size", "sqft", "Living area (sq ft)"), ("house_size", "", "Living area (sq ft)"), ("bed", "", "Bedrooms"),
    ("garage", "cars", "garage (cars)"),
])  # fmt: skip
def test_fields_are_named_with_their_unit(field: str, unit: str, wanted: str) -> None:
    assert named(field, unit) == wanted
