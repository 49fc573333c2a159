"""Nothing from outside becomes markup, whatever cell it stands in."""

import pytest

from frontend import tables
from frontend.tables import Cell

EVIL = '<img src=x onerror="alert(1)">&'


@pytest.mark.parametrize("html", [
    tables.table([EVIL], [[EVIL], [Cell(EVIL, "strong")], [tables.pill(EVIL, EVIL)]], EVIL),
    tables.pairs([(EVIL, EVIL), (EVIL, Cell(EVIL, pill=True))]),
    tables.sentences([EVIL]),
])  # fmt: skip
def test_everything_is_escaped(html: str) -> None:
    assert "<img" not in html
    assert "&lt;img" in html
    assert 'onerror="' not in html


def test_words_stand_left_and_figures_right() -> None:
    html = tables.table(["a", "b"], [["x", "1"]])
    assert '<th scope="col" class="words">a</th><th scope="col" class="figure">b</th>' in html
    html = tables.table(["a", "b"], [["x", ""], ["y", Cell("told", "words")]])
    assert '<th scope="col" class="words">b</th>' in html


def test_a_pill_may_lead_a_cells_words() -> None:
    html = tables.table(["a"], [[Cell("because <b>", "words", lead=tables.pill("PROMOTE", "Promoted"))]])
    assert '<span class="ap-pill good">Promoted</span> because &lt;b&gt;</td>' in html
