"""The explanation as one page that needs nothing else: words first, then tables and the pictures, embedded."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Final

from steps.common.explanation import (
    Attributions,
    ErrorChange,
    Estimate,
    Explanation,
    GainSplit,
    Rows,
    Table,
    Term,
)
from steps.evaluate.change_plots import ERROR_CHANGE, GAIN, SHAP_CHANGE, TERMS
from steps.evaluate.paragraph import batches_of

FILE: Final = "why_it_changed.html"
_STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem; }
p.about { color: #666; margin-top: .2rem; } p.why { margin: .45rem 0; } p.small { color: #555; font-size: .9rem; }
table { border-collapse: collapse; margin: .6rem 0; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { white-space: nowrap; padding: .28rem .8rem; border-bottom: 1px solid #ddd; text-align: right; }
th { color: #555; font-weight: 600; } th:first-child, td:first-child { text-align: left; }
tr.real td { font-weight: 600; } img { max-width: 100%; margin: .4rem 0; }
"""
_ROWS: Final = {"all": "all test rows", "new": "new to the champion", "before": "of batches it was trained on"}
_OF: Final = {"before": "before", "common": "like houses now", "outside": "houses outside now"}


def write(folder: Path, found: Explanation) -> Path:
    """Write an explanation's page into the folder where its pictures are; those that are not there are left out."""
    champion = f"version {found.champion_version}" if found.champion_version else "none"
    about = f"batch {found.batch} · candidate: version {found.candidate_version} · champion: {champion}"
    body = [
        "<h1>Why it changed</h1>",
        f'<p class="about">{about}</p>',
        *(f'<p class="why">{escape(sentence)}</p>' for sentence in found.paragraph),
        *(_table(found, found.table) if found.table else ()),
        *(_gain(found.gain_split, folder) if found.gain_split else ()),
        *(_error_change(found.error_change, folder) if found.error_change else ()),
        *(_attributions(found.attributions, folder) if found.attributions else ()),
    ]
    page = "\n".join(body)
    path = folder / FILE
    path.write_text(
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Why it changed</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n{page}\n</body>\n</html>\n",
        encoding="utf-8",
    )
    return path


def _table(found: Explanation, table: Table) -> Iterable[str]:
    cells = {(cell.model, cell.on): cell for cell in table.cells}
    rows = []
    for gain in table.gains:
        for name in ("rmse", "mae"):
            both = (getattr(cells[model, gain.on], name) for model in ("champion", "candidate"))
            rows.append([
                f"{_side(found, gain.on)}, {name.upper()}", f"{gain.rows:,}", *(_estimate(one) for one in both),
                _estimate(getattr(gain, name)),
            ])  # fmt: skip
    yield "<h2>Who is how wrong where</h2>"
    yield _rows(["", "rows", "champion", "candidate", "gain, paired"], rows)
    yield f'<p class="small">Dollars, with {table.confidence:.0%} intervals, resampled by house.</p>'


def _side(found: Explanation, on: Rows) -> str:
    return f"of {batches_of(found, on)}" if found.retrained and on != "all" else _ROWS[on]


def _gain(split: GainSplit, folder: Path) -> Iterable[str]:
    yield "<h2>Where the gain comes from</h2>"
    yield _picture(folder / GAIN, "RMSE from champion to candidate, by data and parameters")
    yield _rows(
        ["parameters of", "batches of", "rows", "RMSE on all test rows"],
        [[fit.parameters, fit.data, f"{fit.rows:,}", f"{fit.rmse:,.0f}"] for fit in split.fits],
    )
    yield (
        '<p class="small">Four fits on a sample of the same houses. The part of either is the mean of what it brings '
        "before the other has changed and after; beyond the sample is what the versions themselves gain more than that."
        f" Less than {split.luck:,.0f} dollars is called luck.</p>"
    )


def _error_change(change: ErrorChange, folder: Path) -> Iterable[str]:
    yield "<h2>Why the champion errs otherwise on the new rows</h2>"
    yield _picture(folder / ERROR_CHANGE, "The champion's RMSE from known to new rows, by causes")
    terms = [
        [TERMS[one.name].replace("\n", " "), _estimate(one.rmse), _estimate(one.mean_squared, 1e6), _clear(one, change)]
        for one in change.terms
    ]
    total = ["together", _estimate(change.rmse), _estimate(change.mean_squared, 1e6), _yes(change.real)]
    yield _rows(["", "RMSE, dollars", "mean squared error, million dollars²", "clear of chance"], [*terms, total])
    yield (
        f'<p class="small">{change.confidence:.0%} intervals. Of the new rows {change.outside_share:.1%} are outside '
        f"anything the champion was trained on. {change.common_properties:,} new houses have their like before; "
        f"re-weighted to look like them, the houses before count as {change.effective_properties:,.0f}.</p>"
    )
    if change.novelties:
        yield _rows(
            ["never met before", "new rows", "share", "rows before"],
            [
                [_novelty(one.field, one.value, one.low, one.high), f"{one.rows:,}", f"{one.share:.1%}",
                 f"{one.rows_before:,}"]
                for one in change.novelties
            ],
        )  # fmt: skip
    yield _rows(
        ["price over what the champion says", "median"], [[_OF[one.of], f"{one.factor:.2f}"] for one in change.factors]
    )


def _clear(term: Term, change: ErrorChange) -> str:
    return "too few rows" if term.name == "outside" and change.few_outside else _yes(term.real)


def _novelty(field: str, value: str | None, low: float | None, high: float | None) -> str:
    if value is not None:
        return f"{field}: {value}"
    return f"{field} outside {low:.10g} to {high:.10g}" if low is not None else field


def _attributions(found: Attributions, folder: Path) -> Iterable[str]:
    yield "<h2>What moves prices</h2>"
    yield _picture(folder / SHAP_CHANGE, "mean |SHAP| of every feature in both models")
    yield _rows(
        ["feature", "champion", "candidate", "change", "luck", "stands out"],
        [
            [one.feature, f"{one.champion:.4f}", f"{one.candidate:.4f}",
             f"{one.change.point:+.4f} ({one.change.low:+.4f} to {one.change.high:+.4f})", f"{one.luck:.4f}",
             _yes(one.stands_out)]
            for one in found.features
        ],
    )  # fmt: skip
    yield (
        f'<p class="small">Mean |SHAP| in log price on the same {found.rows:,} test rows; the intervals hold for all '
        f"features at once at {found.confidence:.0%}. Luck is what two fits of one kind differ by.</p>"
    )


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return (
            f"<tr{' class="real"' * (cells[-1] == 'yes')}>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
        )

    first = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    return f"<table>\n<tr>{first}</tr>\n{'\n'.join(map(line, rows))}\n</table>"


def _picture(path: Path, what: str) -> str:
    if not path.is_file():
        return ""
    inside = base64.b64encode(path.read_bytes()).decode("ascii")
    return f'<img alt="{escape(what)}" src="data:image/png;base64,{inside}">'


def _estimate(found: Estimate, unit: float = 1.0) -> str:
    point, low, high = (value / unit for value in (found.point, found.low, found.high))
    return f"{point:,.0f} ({low:,.0f} to {high:,.0f})"


def _yes(real: bool) -> str:
    return "yes" if real else "no"
