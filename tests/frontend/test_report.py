"""The file to keep: whole, self-contained, and nothing in it that anybody else wrote as markup."""

import copy
from html import escape
from html.parser import HTMLParser
from typing import Any

import pytest

from frontend import report
from frontend.formats import listed, money, number, percent, signed
from tests.frontend.explained import comparison, explanation, rmse

EVIL = '</p><script>alert(1)</script><img src="http://elsewhere">'


class Parsed(HTMLParser):
    """What a browser would make of it: the tags, and those that were opened and never closed."""

    VOID = frozenset({"meta", "br", "img"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002  # its signature
        """Note a tag."""
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close a tag, the one opened last."""
        assert self.open.pop() == tag


def test_every_part_of_the_explanation_with_its_figures() -> None:
    page, found = report.page(comparison()), explanation()
    change, split = found["error_change"], found["gain_split"]
    (larger,) = change["novelties"]
    figures = [
        *(money(rmse(model, on)) for model in ("champion", "candidate") for on in ("all", "new", "before")),
        *(signed(gain["rmse"]["point"]) for gain in found["table"]["gains"]),
        *(signed(term["rmse"]["point"]) for term in change["terms"]),
        *(signed(split[part]["point"]) for part in ("data", "parameters")),
        *(money(fit["rmse"]) for fit in split["fits"]),
        *(f"{one['change']['point']:+.4f}" for one in found["attributions"]["features"]),
        f"outside {larger['low']:,.10g} to {larger['high']:,.10g}", number(larger["rows"]), percent(larger["share"]),
    ]  # fmt: skip
    assert [figure for figure in figures if figure not in page] == []
    assert [told for told in found["paragraph"] if escape(told) not in page] == []
    assert {term["name"] for term in change["terms"]} == {"outside", "houses", "prices"}
    assert "Houses unlike any before" in page
    assert Parsed(page).open == []


def test_houses_the_champion_was_trained_on_are_called_by_their_batches() -> None:
    found = explanation()
    assert "New to the champion" in report.page(comparison())
    sides = {"before": {**found["before"], "batches": [0, 1, 2, 4]}, "new": {**found["new"], "batches": [5]}}
    page = report.page(comparison(explanation={**found, **sides, "retrained": True, "error_change": None}))
    assert "New to the champion" not in page
    assert "Known batches" not in page
    assert page.index(f">Batches {listed([0, 1, 2, 4])}</td>") > page.index(">Batch 5</td>")


def poisoned(value: Any) -> Any:
    """Return JSON whose every text is an attack, but for what the page looks up by."""
    if isinstance(value, dict):
        kept = {"name", "on", "model", "parameters", "data", "feature", "measured_at"}
        return {key: held if key in kept else poisoned(held) for key, held in value.items()}
    if isinstance(value, list):
        return [poisoned(one) for one in value]
    return EVIL if isinstance(value, str) else value


def test_nothing_from_outside_becomes_markup() -> None:
    page = report.page(poisoned(copy.deepcopy(comparison())))
    tags = Parsed(page).tags
    assert "script" not in tags
    assert "img" not in tags
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("changes", [
    {"explanation": None}, {"explanation": {}}, {"champion_version": None}, {"verdict": None, "reasons": []},
])  # fmt: skip
def test_what_is_not_there_is_left_out(changes: dict[str, Any]) -> None:
    page = report.page(comparison(**changes))
    assert "None" not in page
    assert Parsed(page).open == []


@pytest.mark.usefixtures("spanish")
def test_in_spanish_too_a_note_stands_there_once() -> None:
    page = report.page(comparison(explanation={**explanation(), "notes": ["It was not measured."]}))
    assert page.count("It was not measured.") == 1


def test_the_files_name_says_which_two() -> None:
    assert report.file_name(comparison()) == "why-version-2-beside-1.html"
    assert report.file_name(comparison(champion_version=None)) == "why-version-2.html"
