"""A batch in pieces, priced as the API prices: what has a price, what has none, what is taken up again."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from frontend import batch_run, form, reasons, texts
from frontend.batch_run import PIECE, Listings, Run, begin, columns, digest, problem, rows
from frontend.client import Json, Trouble
from frontend.form import Field
from serving import pricing
from serving.app import create_app
from serving.problems import fault
from serving.settings import Settings
from steps.common.bundle import Bundle
from tests.serving.running import write_model

VERSION = 7
HEAD = "status,bed,bath,house_size,state,zip_code"
HOUSE = "for_sale,3,2,1800,Vermont,01203"


@pytest.fixture(scope="module")
def fields() -> tuple[Field, ...]:
    return form.fields(create_app(Settings()).openapi())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_model(tmp_path_factory.mktemp("model"), 20)


class Api:
    """What the API says of batches, without the network between; it goes away after so many answers."""

    def __init__(self, model: Bundle, answers: int = 1000) -> None:
        self.model = model
        self.answers = answers
        self.asked: list[int] = []

    def predict(self, listings: Listings) -> Json | Trouble:
        """Return prices and refusals, as serving makes them."""
        if len(self.asked) == self.answers:
            return Trouble("down")
        self.asked.append(len(listings))
        body = json.dumps({"listings": list(listings)}).encode()
        batch = pricing.parse_batch(body, pricing.MOST_ROWS)
        found, _ = pricing.prices(self.model, list(batch.listings.values()))
        price = dict(zip(batch.listings, found, strict=True))
        return {"model_version": VERSION, "results": [
            {"price": price.get(row), "error": fault(batch.refused[row][1]) if row in batch.refused else None,
             "unseen_fields": ["city"]}
            for row in range(batch.rows)
        ]}  # fmt: skip


def of(lines: Iterable[str], fields: Sequence[Field]) -> Run:
    return begin("\n".join([HEAD, *lines]).encode(), fields)


def problems(run: Run, fields: Sequence[Field]) -> dict[int, str]:
    return {row.line: problem(row, one, fields) for row, one in run.ended if one.price is None}


def test_every_row_gets_its_own_price_or_its_own_problem(fields: tuple[Field, ...], model: Bundle) -> None:
    api, larger = Api(model), HOUSE.replace("1800", "3600")
    run = of([HOUSE, HOUSE.replace(",3,", ",99,"), larger, "x", HOUSE.replace("3", "three", 1)], fields)
    assert list(batch_run.price(run, fields, api.predict)) == [4], "the ragged row is not sent"
    assert api.asked == [4]
    direct = api.predict([row.listing(fields) for row in run.batch.rows if row.line in {2, 4}])
    assert isinstance(direct, dict)
    assert [run.outcomes[line].price for line in (2, 4)] == [one["price"] for one in direct["results"]]
    assert run.outcomes[2].price != run.outcomes[4].price
    found = problems(run, fields)
    assert list(found) == [3, 5, 6]
    assert found[3].startswith("Bedrooms: ")
    assert found[5] == "has more or fewer cells than the first line"
    assert found[6].startswith("Bedrooms: ")


def test_an_interrupted_batch_keeps_what_it_has_and_asks_for_the_rest_alone(
    fields: tuple[Field, ...], model: Bundle
) -> None:
    run = of([HOUSE] * (2 * PIECE + 30), fields)
    assert list(batch_run.price(run, fields, Api(model, answers=1).predict)) == [PIECE, Trouble("down")]
    assert len(run.waiting) == PIECE + 30
    assert run.has_results
    rest = Api(model)
    assert list(batch_run.price(run, fields, rest.predict)) == [PIECE, PIECE + 30]
    assert rest.asked == [PIECE, 30]
    assert (run.waiting, len(run.ended)) == ([], 2 * PIECE + 30)


def test_results_are_shown_once_there_are_some_or_none_will_come(fields: tuple[Field, ...], model: Bundle) -> None:
    run = of([HOUSE, "x"], fields)
    assert not run.has_results
    assert list(batch_run.price(run, fields, Api(model, answers=0).predict)) == [Trouble("down")]
    assert not run.has_results
    assert of(["x", "y,z"], fields).has_results, "all are ragged: the API is never asked"


def test_the_results_hold_what_the_file_had_and_what_became_of_it(fields: tuple[Field, ...], model: Bundle) -> None:
    run = of([HOUSE, HOUSE.replace("Vermont", "")], fields)
    list(batch_run.price(run, fields, Api(model).predict))
    names = columns(fields)
    good, bad = (dict(zip(names, row, strict=True)) for row in rows(run, fields))
    assert (good["line"], good["state"], good["street"]) == (2, "Vermont", "")
    assert (good["model_version"], good["problem"], good["unseen_fields"]) == (VERSION, "", "city")
    assert (bad["price"], bad["problem"]) == (None, "State: is required")


def test_in_spanish_problems_are_said_by_their_reason_and_the_fields_bounds(
    fields: tuple[Field, ...], model: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [HOUSE.replace("Vermont", ""), HOUSE.replace(",3,", ",99,"), HOUSE.replace("3", "three", 1), "x"]
    run = of(lines, fields)
    list(batch_run.price(run, fields, Api(model).predict))
    for module in (texts, reasons):
        monkeypatch.setattr(module, "language", lambda: "es")
    bed: dict[str, Any] = {one.name: one for one in fields}
    assert list(problems(run, fields).values()) == [
        "Estado: falta", f"Dormitorios: debe estar entre {bed['bed'].minimum:g} y {bed['bed'].maximum:g}",
        "Dormitorios: no es lo que este campo admite", "tiene más o menos celdas que la primera línea",
    ]  # fmt: skip


def test_a_file_is_known_again_by_its_content(fields: tuple[Field, ...]) -> None:
    content = f"{HEAD}\n{HOUSE}".encode()
    assert begin(content, fields).digest == digest(content) != digest(content + b"\n")
