"""Who was champion when, and the points of the history, from what the API says."""

import datetime as dt
from typing import Any

from frontend.models import points, reigns

NOW = dt.datetime(2026, 11, 26, tzinfo=dt.UTC)


def event(number: int, kind: str, day: int, candidate: int | None) -> dict[str, Any]:
    return {"event_id": number, "kind": kind, "at": f"2026-11-{day:02d}T00:00:00+00:00", "candidate": candidate}


def test_a_champion_reigns_until_the_next_and_the_last_until_now() -> None:
    events = [
        event(4, "ALIAS_SET", 20, 2), event(1, "PROMOTE_INTENT", 9, 1), event(2, "ALIAS_SET", 10, 1),
        event(3, "PROMOTE_INTENT", 19, 2), event(5, "ADOPTED", 22, 1),
    ]  # fmt: skip
    found = [(one["version"], one["start"][8:10], one["end"][8:10], one["now"]) for one in reigns(events, NOW)]
    assert found == [(1, "10", "20", False), (2, "20", "22", False), (1, "22", "26", True)]


def test_nobody_reigns_while_the_alias_is_lost() -> None:
    events = [event(1, "ALIAS_SET", 10, 1), event(2, "ADOPTED", 12, None)]
    assert [(one["version"], one["end"][8:10]) for one in reigns(events, NOW)] == [(1, "12")]
    assert reigns([], NOW) == []


def test_only_what_was_measured_is_a_point() -> None:
    versions = [
        {"version": 2, "status": "production", "then": {"rmse": 5.0, "mae": None}, "now": None},
        {"version": 1, "status": "previous", "then": {"rmse": 6.0, "mae": 4.0}, "now": None},
    ]
    found = [(one["version"], one["measure"], one["error"], one["champion"]) for one in points(versions, "then")]
    assert found == [(1, "RMSE", 6.0, False), (1, "MAE", 4.0, False), (2, "RMSE", 5.0, True)]
    assert points(versions, "now") == []
