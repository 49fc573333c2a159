"""A part that fails is a sentence on the page and a traceback in the log, under one id."""

import json

import pytest

from frontend.client import Trouble
from frontend.guard import guarded, sentence
from frontend.texts import every


def fails() -> None:
    raise KeyError("rmse")


def test_the_log_has_the_traceback_and_the_id_that_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with guarded("models"):
        fails()
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "part_failed" in line]
    logged = json.loads(line)
    assert (logged["part"], logged["level"], len(logged["id"])) == ("models", "error", 8)
    assert "KeyError: 'rmse'" in logged["exception"]


def test_what_streamlit_itself_stops_a_script_with_goes_through() -> None:
    with pytest.raises(SystemExit), guarded("models"):
        raise SystemExit


@pytest.mark.parametrize("kind", [
    "down", "slow", "stranger", "listing-refused", "request-refused", "no-model", "log-full", "ledger-down",
    "not-ready", "body-too-large", "too-slow", "key-refused", "not-found",
])  # fmt: skip
def test_every_trouble_the_page_may_meet_has_its_own_sentence(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPRAISER_API_URL", "http://api:8000")
    own = every()[f"trouble.{kind.replace('-', '_')}"]["en"]
    assert sentence(Trouble(kind)).startswith(own.split("{", maxsplit=1)[0])


def test_a_trouble_nobody_foresaw_has_one_too_with_the_apis_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPRAISER_API_URL", "http://api:8000")
    assert sentence(Trouble("new-kind", "The moon is in the way.")).endswith("The moon is in the way.")
