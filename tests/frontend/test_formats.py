"""Figures as people read them."""

import pytest

from frontend import formats


@pytest.mark.parametrize(("shown", "wanted"), [
    (formats.money(287_412.55), "$287,413"), (formats.money(-1200.4), "\N{MINUS SIGN}$1,200"), (formats.money(None), formats.NOTHING),
    (formats.money(-0.2), "$0"), (formats.signed(1200), "+$1,200"), (formats.signed(-3), "\N{MINUS SIGN}$3"),
    (formats.signed(0.2), "$0"), (formats.signed(None), formats.NOTHING),
    (formats.percent(0.127), "12.7%"), (formats.percent(-0.5, 0), "\N{MINUS SIGN}50%"), (formats.percent(None), formats.NOTHING),
    (formats.number(318_000), "318,000"), (formats.number(0.79512, 3), "0.795"), (formats.number(None), formats.NOTHING),
    (formats.moment("2026-11-26T12:02:11+02:00"), "2026-11-26 10:02"), (formats.moment(None), formats.NOTHING),
    (formats.duration(45), "45 s"), (formats.duration(180), "3 min"), (formats.duration(9000), "2.5 h"),
    (formats.duration(400_000), "5 d"), (formats.duration(None), formats.NOTHING),
    (formats.listed([0, 1, 2, 3, 5]), "0\N{EN DASH}3, 5"), (formats.listed([4]), "4"), (formats.listed([]), formats.NOTHING),
])  # fmt: skip
def test_figures(shown: str, wanted: str) -> None:
    assert shown == wanted
