"""The paragraph in Spanish: sentence by sentence with the numbers of evaluate's own, and in the same direction."""

import pytest
from hypothesis import HealthCheck, given, settings

from frontend import paragraph
from steps.common.explanation import Explanation
from steps.evaluate.paragraph import sentences
from tests.frontend.running import numbers
from tests.steps.evaluate import explanations
from tests.steps.evaluate.test_paragraph import FEW_OUTSIDE, change

pytestmark = pytest.mark.usefixtures("spanish")
# What is said of a figure in English, and in Spanish.
SAID = [
    ("no difference that stands", "ninguna diferencia que destaque"), ("no change that stands", "un cambio que no"),
    ("explain nothing", "no cambia de modo"), ("explains nothing", "no cambia de modo"), (" rises from", " sube de"),
    (" falls from", " baja de"), (" raise it by", " sube en"), (" raises it by", " sube en"),
    (" lower it by", " baja en"), (" lowers it by", " baja en"), ("did not change", "no cambiaron"),
    ("took off", "quitaron"), ("added", "añadieron"), ("No feature moves", "Ninguna característica mueve"),
    ("neither part is beyond", "ninguna de las dos partes"), ("not identifiable", "no se puede separar"),
    ("too few to tell", "demasiado pocas para saber"),
    ("None of the new rows", "Ninguna de las filas nuevas"), ("and that of", "las dos partes"),
]  # fmt: skip


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(explanations.explanations)
def test_sentence_by_sentence_the_numbers_and_the_directions_are_evaluates_own(found: Explanation) -> None:
    own, told = sentences(found), paragraph.sentences(found.model_dump(mode="json"))
    assert len(told) == len(own)
    for english, spanish in zip(own, told, strict=True):
        assert list(numbers(spanish)) == list(numbers(english)), (english, spanish)
        wrong = [(one, other) for one, other in SAID if one in english and other not in spanish]
        assert wrong == [], (english, spanish)
        assert spanish.endswith(".")
        assert spanish[0].isupper()


@pytest.mark.parametrize(("kept", "said"), [
    ({"needed_outside_rows": 30}, "son menos de 30 filas, demasiado pocas para saber qué cambian: 12 de las filas"),
    ({}, "no cambia de modo que destaque del azar (intervalo del 99% de $300 a $1,200): 12 de las filas"),
])  # fmt: skip
def test_of_few_rows_outside_it_is_said_unless_it_was_not_kept_how_many_are_needed(
    kept: dict[str, int], said: str
) -> None:
    found = change(terms=[FEW_OUTSIDE], outside_rows=12, outside_share=0.012).model_dump(mode="json")
    del found["error_change"]["needed_outside_rows"]
    found["error_change"] |= kept
    assert said in paragraph.sentences(found)[1]


def test_why_a_part_is_missing_stays_in_the_ledgers_words() -> None:
    found = {"candidate_version": 2, "champion_version": 1, "notes": ["It was not measured."], "paragraph": ["…"]}
    assert paragraph.sentences(found) == ["It was not measured."]


def test_in_english_the_paragraph_is_the_ledgers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paragraph, "language", lambda: "en")
    assert paragraph.sentences({"paragraph": ["As it stands."]}) == ["As it stands."]
