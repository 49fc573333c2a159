"""The explanation at work: whether there is anything to explain, and the files that show it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from steps.common.explanation import Explanation
from steps.common.logs import log
from steps.common.store.clean import Listings
from steps.evaluate import change_plots, html_report, plots
from steps.evaluate.contenders import Contender
from steps.evaluate.explain import Given, explain, unexplained

# TreeSHAP takes some 5 ms a row, and a beeswarm of more is a blot.
SHOWN_ROWS: Final = 2000
_DATA: Final = "explanation.json"


def explained(
    files: Path, rows: Listings, candidate: Contender, champion: Contender | None, *, against: int | None,
    batches: Sequence[int], batch: int, noise: float, threads: int, train: Callable[[], Listings],
) -> Explanation:  # fmt: skip
    """Draw one or two scored versions into a folder, and explain how they differ, as far as there are two.

    `against` is the version in production, also where it could not be scored; the rest is as in `Given`.
    """
    both = {"candidate": candidate} | ({"champion": champion} if champion else {})
    shown = rows.take(plots.some(len(rows), SHOWN_ROWS))
    contributions = {part: one.bundle.contributions(shown.columns).astype(np.float64) for part, one in both.items()}
    plots.draw(files, rows, both, shown, contributions)
    nothing = _nothing_to_explain(candidate.version, against, champion)
    if nothing or champion is None:
        found = unexplained(batch, candidate.version, against, nothing)
    else:
        log().info("explaining", candidate=candidate.version, champion=champion.version)
        found = explain(
            Given(
                rows=rows, train=train(), batches=batches, batch=batch, champion=champion, candidate=candidate,
                shown=shown, contributions=contributions, noise=noise, threads=threads,
            )
        )  # fmt: skip
    _write(files, found)
    return found


def _nothing_to_explain(candidate: int, against: int | None, champion: Contender | None) -> str:
    """Return why there are not two versions whose difference could be explained; nothing where there are."""
    if against is None:
        return f"There is no champion beside version {candidate}, so there is no change to explain."
    if against == candidate:
        return f"Version {candidate} is in production already and would be compared with itself."
    if champion is None:
        return f"Version {against}, in production, could not be scored, so what changed cannot be explained."
    return ""


def _write(folder: Path, found: Explanation) -> None:
    """Write an explanation as data, as pictures and as a page; what cannot be drawn is logged and left out."""
    (folder / _DATA).write_text(found.model_dump_json(indent=1), encoding="utf-8")
    try:
        plots.without_a_screen(folder)
        change_plots.draw(folder, found)
        html_report.write(folder, found)
    except Exception:  # noqa: BLE001  # a picture is no reason to promote or not to
        log().exception("not_drawn")
