"""What the champion had never met, as people read it: fields and features by their names, years as years."""

import pytest

from frontend.changes import novelties


@pytest.mark.parametrize(("field", "low", "high", "told"), [
    ("prev_sold_year", 2021.0, 2022.0, ["Year of the previous sale", "outside 2021 to 2022"]),
    ("prev_sold_month", 1.0, 11.0, ["Month of the previous sale", "outside 1 to 11"]),
    ("house_size", 800.0, 3200.0, ["Living area", "outside 800 to 3,200"]),
    ("acre_lot", 0.25, 1500.5, ["Lot", "outside 0.25 to 1,500.5"]),
])  # fmt: skip
def test_numbers_beyond_what_it_knew(field: str, low: float, high: float, told: list[str]) -> None:
    found = {"field": field, "value": None, "rows": 3, "share": 0.1, "rows_before": 0, "low": low, "high": high}
    shown = novelties([found])
    assert [one for one in told if f'<td class="words ">{one}</td>' not in shown] == []
    assert field not in shown
