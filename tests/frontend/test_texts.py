"""Both languages say the same: every key has both, with the same places, and each is used.

But for what the ledger says in English of its own.
"""

import re
from string import Formatter

import pytest

from frontend.texts import LANGUAGES, LEDGER_LANGUAGE, LEDGER_SECTIONS, every
from tests.servers import ROOT

FRONTEND = ROOT / "frontend"
CODE = "\n".join(path.read_text(encoding="utf-8") for path in sorted(FRONTEND.glob("*.py")))
# Sections looked up by names of the API's.
BY_NAME = frozenset(re.findall(r'known\(\s*"([a-z_]+)"', CODE))


def places(text: str) -> set[str]:
    return {name.split(":")[0] for _, name, _, _ in Formatter().parse(text) if name}


def section(key: str) -> str:
    return key.split(".", maxsplit=1)[0]


@pytest.mark.parametrize("key", [key for key in every() if section(key) not in LEDGER_SECTIONS])
def test_both_languages_have_the_same_places(key: str) -> None:
    both = every()[key]
    assert both.keys() == LANGUAGES.keys()
    assert all(text.strip() for text in both.values())
    assert places(both["en"]) == places(both["es"])


@pytest.mark.parametrize("key", [key for key in every() if section(key) in LEDGER_SECTIONS])
def test_what_the_ledger_says_in_english_is_there_in_every_other_language(key: str) -> None:
    assert every()[key].keys() == LANGUAGES.keys() - {LEDGER_LANGUAGE}


def stem(key: str) -> str:
    """Return a key's name without its section and what charts add to it."""
    return key.split(".")[1].removesuffix("_about").removesuffix("_alt")


def test_every_text_asked_for_is_there() -> None:
    asked = set(re.findall(r'text\(\s*f?"([a-z_]+\.[A-Za-z_0-9]+)"', CODE))
    assert len(asked) > 100
    assert asked - every().keys() == set()


def test_every_text_that_is_there_is_asked_for() -> None:
    words = set(re.findall(r"[a-z_0-9]+", CODE))
    # Troubles are named by the API's problems and the ends of its looks, terms and sides by the explanation.
    named = BY_NAME | LEDGER_SECTIONS
    built = ("trouble.", "alias.", "why.term_", "why.on_", "why.of_", *(f"{section}." for section in named))
    unused = [
        key for key in every()
        if f'"{key}"' not in CODE and not key.startswith(built) and stem(key) not in words
    ]  # fmt: skip
    assert unused == []
