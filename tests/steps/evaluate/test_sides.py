"""Which test rows are new to the champion: batches it was not trained on, or this run's own where there are none."""

import numpy as np
import pytest

from steps.evaluate.sides import sides
from tests.steps.evaluate.houses import draw, together

ROWS = together(*(draw(50, number, batch=number) for number in range(4)))


@pytest.mark.parametrize(
    ("known", "batch", "before", "new"),
    [
        ((0, 1, 2), 3, (0, 1, 2), (3,)),
        ((0, 1), 3, (0, 1), (2, 3)),  # batch 2 was skipped
        ((0, 1, 2, 3), 1, (0, 2, 3), (1,)),  # trained again on an old batch
        ((7,), 3, (), (0, 1, 2, 3)),  # a champion of batches that are in the data set no more
    ],
)
def test_new_is_what_the_champion_was_not_trained_on(
    known: tuple[int, ...], batch: int, before: tuple[int, ...], new: tuple[int, ...]
) -> None:
    found = sides(ROWS, range(4), known, batch)
    assert (found.batches_before, found.batches_new) == (before, new)
    assert set(ROWS.batch_number[found.new]) == set(new)
    assert set(ROWS.batch_number[found.before]) == set(before)
    assert np.all(found.before ^ found.new)
    assert found.retrained == (set(known) >= set(range(4)))
    of_before, of_new = found.described(ROWS)
    assert (of_before.rows, of_new.rows) == (50 * len(before), 50 * len(new))
    assert (of_new.properties, of_new.batches) == (50 * len(new), new)
