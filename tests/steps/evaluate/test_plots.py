"""What the plots of a comparison show: every point of a beeswarm inside its line, the fullest place the widest."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from steps.evaluate.plots import strewn

_MOVES = st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=200)


@given(_MOVES)
def test_points_stay_in_their_line_around_its_middle(moves: list[float]) -> None:
    heights = strewn(np.array(moves))
    assert np.abs(heights).max() <= 0.4
    assert abs(heights.mean()) < 1e-9


def test_points_of_one_value_lie_apart_and_the_fuller_place_is_the_wider() -> None:
    heights = strewn(np.array([0.0] * 8 + [1.0] * 2))
    many, few = heights[:8], heights[8:]
    assert len(set(many)) == 8
    assert np.ptp(many) > 3 * np.ptp(few) > 0
