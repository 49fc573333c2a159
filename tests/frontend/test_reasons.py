"""Reasons in Spanish: a sentence for every code that steps give, with the figures of the reason and no others."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontend import reasons
from frontend.texts import LANGUAGES, LEDGER_LANGUAGE, every
from steps.promote.policy import read_policy
from steps.promote.promote import decide
from steps.promote.reason import Code as PromoteCode
from steps.promote.reason import because
from steps.validate.reason import Code as ValidateCode
from tests.frontend.running import numbers
from tests.steps.promote.test_promote import CASES

pytestmark = pytest.mark.usefixtures("spanish")
CODES = [*ValidateCode, *PromoteCode]
OTHERS = sorted(LANGUAGES.keys() - {LEDGER_LANGUAGE})
# Of the sizes there are: written in six digits, a smaller one would have an exponent.
MEASURED, THRESHOLD = (st.integers(least, 50_000).map(lambda number: number / 1000) for least in (-50_000, 1))
OWN = "The ledger's own sentence."


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("code", CODES)
def test_every_code_that_steps_give_has_a_sentence(code: str, language: str) -> None:
    assert every()[f"because.{code}"][language].endswith(".")


def test_no_sentence_is_left_over_from_a_code_that_is_gone() -> None:
    ends = r"_(state|unmeasured)$"
    told = {re.sub(ends, "", key.removeprefix("because.")) for key in every() if key.startswith("because.")}
    assert told == set(CODES)


@given(st.sampled_from(list(ValidateCode)), MEASURED, THRESHOLD, st.sampled_from(["batch", "state"]))
def test_of_validate_every_number_is_the_reasons(code: str, measured: float, threshold: float, about: str) -> None:
    reason = {"code": code, "sentence": OWN, "about": about, "measured": measured, "threshold": threshold}
    told = reasons.sentence(reason)
    assert told != OWN
    known = (measured, threshold, 100 * measured, 100 * threshold)
    for written, places in numbers(told):
        assert any(abs(abs(one) - abs(written)) <= 0.5000001 * 10**-places for one in known), told


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_of_promote_every_number_is_one_of_the_sentence_it_gave(case: tuple[str, Any, Any, str, list[str]]) -> None:
    _, evidence, policy, _, _ = case
    for reason in decide(evidence, read_policy(policy)).reasons:
        told = reasons.sentence(reason)
        assert told != reason["sentence"]
        assert {one for one, _ in numbers(told)} <= {one for one, _ in numbers(reason["sentence"])}


def test_promotes_other_reasons_name_their_versions() -> None:
    changed = because(PromoteCode.CHAMPION_CHANGED, OWN, measured=None, compared_with=4, batch=7)
    assert [value for value, _ in numbers(reasons.sentence(changed))] == [4, 7]
    assert "suceso 12" in reasons.sentence(because(PromoteCode.CARRIED_OUT, OWN, event=12))
    assert reasons.sentence(because(PromoteCode.ALIAS_MOVED, OWN)) != OWN


@pytest.mark.parametrize(("about", "shown"), [
    ("house_size", "Superficie"), ("state, city and 3 more", "Estado, Ciudad, +3"), ("version 3", "versión 3"),
])  # fmt: skip
def test_what_a_reason_is_about_is_said_in_the_pages_words(about: str, shown: str) -> None:
    reason = {"code": "ASKED_OTHERWISE", "sentence": OWN, "about": about, "measured": 1.0, "threshold": 0.5}
    assert reasons.sentence(reason).endswith(f"en: {shown}.")


@pytest.mark.parametrize("reason", [
    {"code": "BETTER", "sentence": OWN, "measured": 1.0, "threshold": 2.0},
    {"code": "DRIFT", "sentence": OWN, "about": "bed", "measured": None, "threshold": 0.25},
    {"code": "DRIFT", "sentence": OWN, "about": "bed", "measured": "0.3", "threshold": 0.25},
    {"code": "OF_ANOTHER_RELEASE", "sentence": OWN},
    {"sentence": OWN},
])  # fmt: skip
def test_what_cannot_be_told_anew_stays_in_the_ledgers_words(reason: dict[str, Any]) -> None:
    assert reasons.sentence(reason) == OWN
    assert "<details>" not in reasons.listed([reason])


def test_the_ledgers_own_words_are_folded_below_for_they_say_more() -> None:
    listed = reasons.listed([because(PromoteCode.ALIAS_MOVED, "<b>moved</b>")])
    assert listed.index("El alias se movi") < listed.index("<details>") < listed.index("&lt;b&gt;moved")
