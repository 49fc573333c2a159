"""Reasons in Spanish: a sentence for every code that steps give, with the figures of the reason and no others."""

import dataclasses
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
from steps.validate.champion_error import worse_here
from steps.validate.drift import Drift, NewValue, changes, no_numeric_drift, too_few
from steps.validate.look_back import rollback_advised
from steps.validate.policy import Policy
from steps.validate.probe import worth
from steps.validate.reason import Code as ValidateCode
from steps.validate.reason import Reason
from tests.frontend.running import numbers
from tests.steps.promote.test_promote import CASES
from tests.steps.reports import error
from tests.steps.validate.test_validate import BETTER_BEFORE, REDRAW, SMALLER, decided, report, value

pytestmark = pytest.mark.usefixtures("spanish")
CODES = [*ValidateCode, *PromoteCode]
OTHERS = sorted(LANGUAGES.keys() - {LEDGER_LANGUAGE})
# Of the sizes there are: written in six digits, a smaller one would have an exponent.
MEASURED, THRESHOLD = (st.integers(least, 50_000).map(lambda number: number / 1000) for least in (-50_000, 1))
OWN = "The ledger's own sentence."
POLICY = Policy()
(DRIFTED,) = changes({"bed": Drift(0.35, 10, 0.05)}, POLICY)
CALM = no_numeric_drift({"bed": Drift(0.35, 10, 0.15)}, POLICY)
(TOO_FEW,) = too_few({"state": Drift(0.0, 9, 0.1, new_distinct=1, new_values=(NewValue("guam", 20, 0.013),))}, POLICY)
NOTHING_NEW = decided(report(REDRAW)).reasons[0]
HARMLESS = decided(report(SMALLER, worth=value(0.03, 0.04))).reasons[0]
(WORSE_IN_A_STATE,) = worse_here(error(1.0, 2.0), POLICY)
STAYED, MOVED = (
    rollback_advised(dataclasses.replace(BETTER_BEFORE, moved=moved, outcome="what came of it"), POLICY)[0]
    for moved in (False, True)
)
SHORT, UNCERTAIN = worth(value(0.005), POLICY), worth(value(0.03, 0.04), POLICY)


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("code", CODES)
def test_every_code_that_steps_give_has_a_sentence(code: str, language: str) -> None:
    assert every()[f"because.{code}"][language].endswith(".")


def test_no_sentence_is_left_over_from_a_code_that_is_gone() -> None:
    ends = r"_(state|unmeasured|chance|stayed|moved)$"
    told = {re.sub(ends, "", key.removeprefix("because.")) for key in every() if key.startswith("because.")}
    assert told == set(CODES)


@given(
    st.sampled_from(list(ValidateCode)), MEASURED, THRESHOLD, st.integers(1, 5000), st.sampled_from(["batch", "state"]),
    st.sampled_from([None, "chance"]),
)  # fmt: skip
def test_of_validate_every_number_is_the_reasons(
    code: str, measured: float, threshold: float, least_rows: int, about: str, failed: str | None
) -> None:
    reason = {
        "code": code, "sentence": OWN, "about": about, "measured": measured, "threshold": threshold,
        "least_rows": least_rows, "failed": failed,
    }  # fmt: skip
    told = reasons.sentence(reason)
    assert told != OWN
    known = (measured, threshold, 100 * measured, 100 * threshold, least_rows)
    for written, places in numbers(told):
        assert any(abs(abs(one) - abs(written)) <= 0.5000001 * 10**-places for one in known), told


@pytest.mark.parametrize(("reason", "figures"), [
    (DRIFTED, [0.35, 0.3]), (CALM, [0.35, 0.4]), (NOTHING_NEW, [0.1, 30]), (TOO_FEW, [1.3, 0.1, 30]),
    (SHORT, [0.5, 1]), (UNCERTAIN, [-1, 0]), (HARMLESS, [-1, 0]),
])  # fmt: skip
def test_of_validate_what_decided_is_named_and_nothing_else(reason: Reason, figures: list[float]) -> None:
    told = reasons.sentence(dataclasses.asdict(reason))
    assert [value for value, _ in numbers(told)] == figures


@pytest.mark.parametrize(("reason", "clause"), [
    (WORSE_IN_A_STATE, "o en toda ella si allí no se probó"),
    (STAYED, "mejoraría el RMSE en esta entrega en al menos $8,000; se pide $300. El alias Production no se movió."),
    (MOVED, "El alias Production volvió a la versión 3: mejora el RMSE en esta entrega en al menos $8,000"),
])  # fmt: skip
def test_of_validate_no_clause_of_its_own_sentence_is_lost(reason: Reason, clause: str) -> None:
    assert clause in reasons.sentence(dataclasses.asdict(reason))


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
    {"code": "NOTHING_CHANGED", "sentence": OWN, "about": None, "measured": None, "threshold": None},
    {"code": "NEW_CATEGORY", "sentence": OWN, "about": "state", "measured": 0.01, "threshold": 0.001},
    {"code": "OF_ANOTHER_RELEASE", "sentence": OWN},
    {"sentence": OWN},
])  # fmt: skip
def test_what_cannot_be_told_anew_stays_in_the_ledgers_words(reason: dict[str, Any]) -> None:
    assert reasons.sentence(reason) == OWN
    assert "<details>" not in reasons.listed([reason])


def test_the_ledgers_own_words_are_folded_below_for_they_say_more() -> None:
    listed = reasons.listed([because(PromoteCode.ALIAS_MOVED, "<b>moved</b>")])
    assert listed.index("El alias se movi") < listed.index("<details>") < listed.index("&lt;b&gt;moved")
