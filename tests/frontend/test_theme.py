"""Contrast of the theme's colours by WCAG 2.2: 4.5 for text, 3 for what is drawn."""

import tomllib
from itertools import product

import pytest

from frontend.charts import DOWN, QUIET, UP
from tests.servers import ROOT

THEME = tomllib.loads((ROOT / "frontend/.streamlit/config.toml").read_text())["theme"]
SCHEMES = ("light", "dark")


def luminance(color: str) -> float:
    """Return relative luminance (WCAG 2.2, its definition)."""
    channels = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def backgrounds(scheme: str) -> list[str]:
    colors = THEME[scheme]
    places = (colors, colors["sidebar"])
    return [place[name] for place in places for name in ("backgroundColor", "secondaryBackgroundColor")]


def test_the_measure_itself() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize(("scheme", "name"), list(product(SCHEMES, ("textColor", "primaryColor", "linkColor"))))
def test_text_can_be_read_on_every_background(scheme: str, name: str) -> None:
    assert min(contrast(THEME[scheme][name], behind) for behind in backgrounds(scheme)) >= 4.5


@pytest.mark.parametrize(("scheme", "color"), list(product(SCHEMES, (UP, DOWN, QUIET))))
def test_what_is_drawn_can_be_seen_in_both_schemes(scheme: str, color: str) -> None:
    assert contrast(color, THEME[scheme]["backgroundColor"]) >= 3
