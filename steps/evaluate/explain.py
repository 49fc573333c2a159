"""Why the candidate differs from the champion: every part of the explanation that can be computed, and its words.

Nothing here may fail a comparison: a part that cannot be computed is left out with a sentence, and the gate, which
decides from the evidence alone, goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from steps.common.columns import Floats
from steps.common.explanation import EXPLANATION_VERSION, Attributions, ErrorChange, Explanation, GainSplit, Table
from steps.common.logs import log
from steps.common.store.clean import Listings
from steps.evaluate import attributions, change, novelty, refits, shift
from steps.evaluate.contenders import Contender
from steps.evaluate.paragraph import sentences
from steps.evaluate.sides import Sides, sides


@dataclass(frozen=True)
class Given:
    """Two scored versions, the rows they were scored on, and what else is known about them.

    `batch` is the run's own, `train` the train part of all `batches`; `contributions` are those of `shown`, some of
    the test rows, in log price, bias last; `noise` is the noise floor as a share of RMSE.
    """

    rows: Listings
    train: Listings
    batches: Sequence[int]
    batch: int
    champion: Contender
    candidate: Contender
    shown: Listings
    contributions: Mapping[str, Floats]
    noise: float
    threads: int


def explain(given: Given) -> Explanation:
    """Return the explanation; the same input gives the same."""
    parts = _Parts(given)
    found = Explanation(
        version=EXPLANATION_VERSION,
        batch=given.batch,
        candidate_version=given.candidate.version,
        champion_version=given.champion.version,
        retrained=parts.sides.retrained,
        before=parts.before,
        new=parts.new,
        table=parts.attempt("The table of errors before and now", parts.table),
        error_change=parts.attempt("The change of the champion's error", parts.error_change),
        gain_split=parts.attempt("The split of the gain into data and parameters", parts.gain_split),
        attributions=parts.attempt("The change of what moves prices", parts.attributions),
    )
    told = parts.attempt("The paragraph", lambda: sentences(found)) or ()
    notes = tuple(parts.notes)
    return found.model_copy(update={"notes": notes, "paragraph": (*told, *notes)})


def unexplained(batch: int, candidate: int, champion: int | None, why: str) -> Explanation:
    """Return what there is to say where there are not two versions to compare: one sentence."""
    return Explanation(
        version=EXPLANATION_VERSION, batch=batch, candidate_version=candidate, champion_version=champion or 0,
        notes=(why,), paragraph=(why,),
    )  # fmt: skip


class _Parts:
    """The parts of one explanation, each computed once, and why those are missing that could not be."""

    def __init__(self, given: Given) -> None:
        self._given = given
        self.sides: Sides = sides(given.rows, given.batches, given.champion.batches, given.batch)
        self.before, self.new = self.sides.described(given.rows)
        self.notes: list[str] = []
        if self.sides.retrained:
            self.notes.append(
                f"The champion was trained on every batch, batch {given.batch} too; this one stands against the rest."
            )
        for side, other in ((self.before, self.new), (self.new, self.before)):
            if not side.rows:
                of = f"batch {', '.join(map(str, side.batches))}" if side.batches else "any other batch"
                self.notes.append(f"No test row is of {of}, so the {other.rows:,} others have nothing to stand beside.")

    def attempt[T](self, what: str, compute: Callable[[], T | None]) -> T | None:
        """Return a part, or None and a note for whatever kept it from being computed."""
        try:
            return compute()
        except Exception as error:  # noqa: BLE001  # whatever it is, it is no reason to promote or not to
            log().exception("not_explained", what=what)
            self.notes.append(f"{what} could not be computed: {type(error).__name__}: {error}.")
            return None

    def table(self) -> Table:
        given = self._given
        return change.table(given.rows, self.sides, given.champion.scored, given.candidate.scored)

    def error_change(self) -> ErrorChange | None:
        if not (self.before.rows and self.new.rows):
            return None
        train = self._given.train
        known = train.columns.take(np.isin(train.batch_number, self._given.champion.batches))
        return shift.decompose(self._given.rows, self.sides, self._given.champion, novelty.ranges(known))

    def gain_split(self) -> GainSplit:
        given = self._given
        return refits.split(self._sampled, given.rows, given.champion, given.candidate, given.noise)

    @cached_property
    def _sampled(self) -> refits.Sampled:
        return refits.sample(self._given.train, self._given.threads)

    def attributions(self) -> Attributions:
        given = self._given
        some = given.shown.columns.take(np.arange(min(len(given.shown), attributions.LUCK_ROWS)))
        card, seed = given.candidate.card, int(given.candidate.card["seed"])
        halves = (self._sampled.half(number).fit(card, given.candidate.batches, seed)[0] for number in (0, 1))
        one, other = (attributions.mean_absolute(half, some) for half in halves)
        champion, candidate = (given.contributions[part][:, :-1] for part in ("champion", "candidate"))
        return attributions.compare(given.shown, champion, candidate, attributions.luck((one, other)))
