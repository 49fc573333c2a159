"""Figures as people read them."""

import pytest

from frontend.formats import NOTHING, duration, listed, moment, money, number, percent, signed

MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(("shown", "wanted"), [
    (money(287_412.55), "$287,413"), (money(-1200.4), MINUS + "$1,200"), (money(None), NOTHING),
    (money(-0.2), "$0"), (signed(1200), "+$1,200"), (signed(-3), MINUS + "$3"),
    (signed(0.2), "$0"), (signed(None), NOTHING),
    (percent(0.127), "12.7%"), (percent(-0.5, 0), MINUS + "50%"), (percent(None), NOTHING),
    (number(318_000), "318,000"), (number(0.79512, 3), "0.795"), (number(None), NOTHING),
    (moment("2026-11-26T12:02:11+02:00"), "2026-11-26 10:02"), (moment(None), NOTHING),
    (duration(45), "45 s"), (duration(180), "3 min"), (duration(9000), "2.5 h"),
    (duration(400_000), "5 d"), (duration(None), NOTHING),
    (listed([0, 1, 2, 3, 5]), f"0{NOTHING}3, 5"), (listed([4]), "4"), (listed([]), NOTHING),
])  # fmt: skip
def test_figures(shown: str, wanted: str) -> None:
    assert shown == wanted
