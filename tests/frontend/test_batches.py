"""What the page says of a batch is what validate decided of it."""

import pytest

from frontend.batches import drift_rows
from steps.common.thresholds import Thresholds
from steps.common.verdicts import drifted


@pytest.mark.usefixtures("spanish")
@pytest.mark.parametrize(("psi", "chance"), [(0.35, 0.15), (0.4, 0.15), (0.25, 0.0), (0.26, 0.001), (0.25, 0.001)])
def test_a_column_is_drawn_as_changed_where_validate_calls_it_so(psi: float, chance: float) -> None:
    policy = Thresholds()
    (row,) = drift_rows({"bed": {"psi": psi, "chance": chance}}, policy.model_dump())
    assert row["changed"] == drifted(psi, chance, policy)
