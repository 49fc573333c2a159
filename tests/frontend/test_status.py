"""What somebody is warned of, and what is no reason to."""

import datetime as dt
from typing import Any

import pytest

from frontend.client import Trouble
from frontend.status import warnings

NOW = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC)
AWAY = Trouble("ledger-down")


def decided(*hours_ago: float) -> dict[str, Any]:
    times = [(NOW - dt.timedelta(hours=hours)).isoformat() for hours in hours_ago]
    return {"batches": [{"validate": {"decided_at": at}, "promote": None} for at in times]}


def raised(*hours_ago: float) -> dict[str, Any]:
    times = [(NOW - dt.timedelta(hours=hours)).isoformat() for hours in hours_ago]
    return {"alerts": [{"raised_at": at, "message": "the alias was moved by hand"} for at in times]}


def served(trouble: str | None = None) -> dict[str, Any]:
    return {"model_version": 3, "alias": {"trouble": trouble}}


@pytest.mark.parametrize(("info", "batches", "alerts", "said"), [
    (served(), decided(1), raised(), []),
    (served(), {"batches": []}, raised(), []),
    (served(), {"batches": [{"validate": None, "promote": None}]}, raised(), []),
    (AWAY, AWAY, AWAY, []),
    (served(), decided(30, 200), raised(), ["newest verdict is 1 d old"]),
    (served(), decided(23), raised(1, 2), ["seven days: 2. The newest"]),
    (served(), decided(23), raised(24 * 8), []),
    (served("Version 4 has no files."), decided(30), raised(1),
     ["Version 3 goes on serving", "1 d old", "moved by hand"]),
])  # fmt: skip
def test_warnings(info: Any, batches: Any, alerts: Any, said: list[str]) -> None:
    found = warnings(info, batches, alerts, NOW)
    assert len(found) == len(said)
    assert all(part in sentence for part, sentence in zip(said, found, strict=True))
