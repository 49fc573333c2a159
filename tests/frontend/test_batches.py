"""What the page says of a batch is what validate decided of it."""

import pytest

from frontend.batches import drift_rows, value
from frontend.formats import NOTHING
from steps.common.thresholds import Thresholds
from steps.common.verdicts import drifted


@pytest.mark.usefixtures("spanish")
@pytest.mark.parametrize(("psi", "chance"), [(0.35, 0.15), (0.4, 0.15), (0.25, 0.0), (0.26, 0.001), (0.25, 0.001)])
def test_a_column_is_drawn_as_changed_where_validate_calls_it_so(psi: float, chance: float) -> None:
    policy = Thresholds()
    (row,) = drift_rows({"bed": {"psi": psi, "chance": chance}}, policy.model_dump())
    assert row["changed"] == drifted(psi, chance, policy)


@pytest.mark.parametrize(("column", "number", "written"), [
    ("price", 515_000_000.0, "$515,000,000"), ("price", 0.4, "$0"), ("price", None, NOTHING),
    ("house_size", 1_560_780.0, "1,560,780"), ("acre_lot", 100_000.0, "100,000"), ("house_size", 1000.4, "1,000"),
    ("acre_lot", 0.25, "0.25"), ("acre_lot", 0.123456, "0.123"), ("bed", 3.0, "3"), ("bath", 2.5, "2.5"),
    ("prev_sold_date", 738_000.0, NOTHING), ("acre_lot", -1_000_000.0, "\N{MINUS SIGN}1,000,000"),
])  # fmt: skip
def test_values_of_a_column_as_people_write_them(column: str, number: float | None, written: str) -> None:
    assert value(column, number) == written
