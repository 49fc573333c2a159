"""What somebody is warned of, and what is no reason to."""

import datetime as dt
import re
from typing import Any

import pytest

from frontend.client import Trouble
from frontend.status import connection, fresh, heading, warnings
from frontend.texts import every
from serving.champion import Look, Outcome
from steps.common.verdicts import QUARANTINE
from steps.fetch.reason import Reason
from steps.validate.__main__ import ALARMING
from tests.servers import ROOT

NOW = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC)
AWAY = Trouble("ledger-down")


def decided(*hours_ago: float) -> dict[str, Any]:
    times = [(NOW - dt.timedelta(hours=hours)).isoformat() for hours in hours_ago]
    return {"batches": [{"validate": {"decided_at": at}, "promote": None} for at in times]}


def raised(*hours_ago: float) -> dict[str, Any]:
    times = [(NOW - dt.timedelta(hours=hours)).isoformat() for hours in hours_ago]
    return {"alerts": [{"raised_at": at, "code": "GAP", "message": "m", "batch_number": None} for at in times]}


def served(outcome: Outcome = Outcome.UNCHANGED) -> dict[str, Any]:
    trouble = Look(outcome, None, "what it met", NOW).trouble
    return {"model_version": 3, "alias": {"outcome": outcome.value, "trouble": trouble}}


@pytest.mark.parametrize(("info", "batches", "said"), [
    (served(), decided(1), []),
    (served(), {"batches": []}, []),
    (served(), {"batches": [{"validate": None, "promote": None}]}, []),
    (AWAY, AWAY, []),
    (served(), decided(30, 200), ["newest verdict is 1 d old"]),
    (served(), decided(23), []),
    (served(Outcome.REFUSED), decided(30), ["Version 3 goes on serving", "1 d old"]),
])  # fmt: skip
def test_warnings(info: Any, batches: Any, said: list[str]) -> None:
    found = warnings(info, batches, NOW)
    assert len(found) == len(said)
    assert all(part in sentence for part, sentence in zip(said, found, strict=True))


@pytest.mark.parametrize(("outcome", "wrong", "to_do"), [
    (Outcome.UNREACHABLE, "the ledger gives no answer (what it met)", "the alias need not be moved"),
    (Outcome.UNSTORED, "could not keep a copy", "Make room on its volume"),
    (Outcome.REFUSED, "does not believe the version that the alias Production names (what it met)", "or roll back"),
    (Outcome.NO_ALIAS, "the alias Production is gone", "Set it to the version that is to serve"),
])  # fmt: skip
def test_an_alias_that_cannot_be_followed_is_said_with_what_to_do(outcome: Outcome, wrong: str, to_do: str) -> None:
    (told,) = warnings(served(outcome), AWAY, NOW)
    assert wrong in told
    assert to_do in told
    assert ("roll back" in told) is (outcome is Outcome.REFUSED)


@pytest.mark.parametrize("alias", [{}, {"outcome": None}, {"outcome": "eaten"}])
def test_an_api_of_another_release_says_its_trouble_in_its_own_words(alias: dict[str, Any]) -> None:
    info = {"model_version": 3, "alias": {**alias, "trouble": "what it {met}"}}
    assert warnings(info, AWAY, NOW) == ["what it {met}"]


def test_every_outcome_of_a_look_that_is_trouble_has_a_sentence() -> None:
    told = {key.removeprefix("alias.") for key in every() if key.startswith("alias.")}
    assert told == {outcome for outcome in Outcome if served(outcome)["alias"]["trouble"]}


@pytest.mark.parametrize(("ready", "name"), [
    ({"ready": True}, "API connected"), (Trouble("down"), "API not reachable"), (Trouble("slow"), "API not reachable"),
    (Trouble("not-ready"), "API not ready"), (Trouble("log-full"), "API not ready"),
])  # fmt: skip
def test_an_api_that_answers_is_not_said_to_be_out_of_reach(ready: Any, name: str) -> None:
    assert connection(ready)[0] == name


@pytest.mark.parametrize(("alerts", "count"), [(raised(), 0), (raised(1, 2), 2), (raised(1, 24 * 8), 1), (AWAY, 0)])
def test_alerts_of_the_last_week_are_new(alerts: Any, count: int) -> None:
    assert len(fresh(alerts, NOW)) == count


def test_the_newest_alert_is_said_in_a_line() -> None:
    (one,) = raised(1)["alerts"]
    assert heading([one, one]) == (
        "Alerts in the last seven days: 2. The newest: The source left batches out (2026-11-26 11:00 UTC)"
    )
    assert "left batches out, Batch 7 (" in heading([{**one, "batch_number": 7}])


def test_every_alert_that_steps_raise_has_a_line() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "steps").rglob("*.py")))
    named = re.findall(r'\bAlert\(\s*"([A-Z_]+)"', sources)
    assert len(named) >= 5
    told = {key.removeprefix("alert.") for key in every() if key.startswith("alert.")}
    assert told == {*named, QUARANTINE, *ALARMING, *Reason}
