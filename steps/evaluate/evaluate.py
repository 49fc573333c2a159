"""What is known about a candidate beside the champion: every figure of the evidence, from scored versions alone.

Nothing here asks a database, a server or a clock; the same prices on the same rows give the same evidence.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from steps.common.columns import Floats
from steps.common.evidence import SCHEMA_VERSION, Evidence, Gain, Infrastructure, Model, NoiseFloor, Slice, Stored
from steps.common.resampling import REPLICATES, SEED, Properties, distribution, properties, resampled_sums
from steps.common.store.clean import Listings
from steps.evaluate import slices
from steps.evaluate.scores import Scored, metrics, refuse_other_rows, rows_digest, unmeasured


@dataclass(frozen=True)
class Entry:
    """A version in the comparison: how it stands in the evidence, and its prices; None where it could not be scored."""

    model: Model
    scored: Scored | None


@dataclass(frozen=True)
class Comparison:
    """Who is compared, on what, and what was found out elsewhere."""

    rows: Listings
    batches: Sequence[int]
    known_zips: Collection[str]
    candidate: Entry
    champion: Entry | None
    previous: Model | None
    baseline: Scored
    alias_ever_set: bool
    noise_floor: NoiseFloor
    infrastructure: Infrastructure
    errors: Stored
    scored: Sequence[int]
    notes: Sequence[str]


def evaluate(given: Comparison) -> Evidence:
    """Return the evidence; raises RowsDiffer when the versions were not scored on the same rows."""
    rows, candidate = given.rows, given.candidate.scored
    if candidate is None:
        raise ValueError("a candidate that was not scored cannot be compared")
    champion = given.champion.scored if given.champion else None
    refuse_other_rows(rows, candidate, given.baseline, *([champion] if champion else []))
    houses = properties(rows.property_id)
    gain, parts = _compare(given, houses, candidate, champion)
    notes = [*given.notes, *unmeasured("the candidate", given.candidate.model.metrics)]
    if given.champion and champion:
        notes += unmeasured("the champion", given.champion.model.metrics)
        notes += [] if gain else ["The gain over the champion could not be measured."]
    return Evidence(
        schema_version=SCHEMA_VERSION,
        rows=len(rows),
        properties=len(houses.ids),
        rows_digest=rows_digest(rows),
        batches=tuple(given.batches),
        candidate=given.candidate.model,
        champion=given.champion.model if given.champion else None,
        alias_ever_set=given.alias_ever_set,
        previous=given.previous,
        baseline=metrics(rows.price, given.baseline.prices),
        gain=gain,
        slices=tuple(parts),
        noise_floor=given.noise_floor,
        infrastructure=given.infrastructure,
        errors=given.errors,
        scored=tuple(given.scored),
        notes=(*notes, *(part.note for part in parts if part.note)),
    )


def _compare(
    given: Comparison, houses: Properties, candidate: Scored, champion: Scored | None
) -> tuple[Gain | None, list[Slice]]:
    cuts = slices.cuts(given.rows, given.batches, given.known_zips)
    known = given.champion.model.batches if given.champion else ()
    if champion is None:
        return None, [slices.measure(cut, given.rows, candidate, None, known, None) for cut in cuts]
    paired = slices.paired(cuts)
    everything = np.ones(len(given.rows), np.bool_)
    masks = [everything, *(cut.mask for cut in paired)]
    replicates = resampled_sums(slices.sums_by_house(houses, given.rows, (candidate, champion), masks))
    places = {(cut.by, cut.value): place for place, cut in enumerate(paired, 1)}
    parts = []
    for cut in cuts:
        place = places.get((cut.by, cut.value))
        totals = None if place is None else slices.totals_of(replicates, place)
        parts.append(slices.measure(cut, given.rows, candidate, champion, known, totals))
    return _gain(given, slices.gains(slices.totals_of(replicates, 0))), parts


def _gain(given: Comparison, replicates: Floats) -> Gain | None:
    kept = distribution(replicates)
    candidate = given.candidate.model.metrics.rmse
    champion = given.champion.model.metrics.rmse if given.champion else None
    if kept is None or candidate is None or champion is None or len(replicates) != REPLICATES:
        return None
    return Gain(point=champion - candidate, seed=SEED, distribution=kept)
