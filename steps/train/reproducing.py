"""Makes a registered version again, from RAW to its prices, and names everything that differs; writes nothing.

The refit takes what the card recorded: rows by their shas, parameters, trees, seed, threads. What this environment
cannot take over (code, image, libraries, machine) is named where it differs, also when the prices come out the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from steps.common import bundle, logs, registry
from steps.common.bundle import Bundle, BundleBroken
from steps.common.logs import log
from steps.common.step import DONE, FAILED, Job, Refused
from steps.common.store import ledger, models
from steps.common.store.connection import read_only
from steps.common.store.models import ModelVersion
from steps.common.tracking import Tracking
from steps.train import train
from steps.train.build import Difference, build_differences, rule_differences, unknown
from steps.train.rebuilding import Rebuilt, rebuild

# Listings of the train part that are priced by both, beside the golden ones.
SAMPLE_ROWS: Final = 10_000
TOLERANCE: Final = 1e-6
# What a card must say for a version to be made again.
_NEEDED: Final = ("batches", "fingerprint", "rows", "parameters", "trees", "seed", "threads")
_COMPARED: Final = (bundle.MODEL, bundle.ENCODINGS)

Lines = list[tuple[str, object]]


class NotComparable(Refused):
    """The version's files or rows are of no use here, so nothing can be said about making it again."""


@dataclass(frozen=True)
class Refit:
    """A version beside the same made again: the largest relative difference in price, and which files are equal."""

    listings: int
    largest: float
    equal_files: Mapping[str, bool]

    def lines(self) -> Lines:
        """Return what a reader wants to know of it."""
        told = f"at most {self.largest:.2g} apart (relative) on {self.listings:,} listings; {TOLERANCE:.0e} is allowed"
        same = {True: "the same, bit for bit", False: "not the same bits"}
        return [("prices", told), *((name, same[equal]) for name, equal in self.equal_files.items())]


def reproduce(job: Job) -> int:
    """Make the version asked for again and say what differs; return 0 where rows and prices are the same, else 100."""
    job.settings.needed("raw_url")
    ledger.open_ledger(job.ledger, job.source_id)
    version = int(job.options.reproduce)
    with read_only(job.ledger).connect() as connection:
        known = models.model_version(connection, version)
    if known is None:
        raise Refused(f"the ledger has no version {version} of {registry.MODEL}")
    if missing := [name for name in _NEEDED if name not in known.card]:
        raise NotComparable(f"the card of version {version} does not say with which {', '.join(missing)} it was made")
    with TemporaryDirectory() as folder:
        stored = registry.fetch_version(Tracking(job.settings), read_only(job.ledger), version, Path(folder))
        rules, lines = rule_differences(known.card), _of_build(job, known)
        if rules:
            why = "not made again: this code reads rows and makes features by other rules"
            return _tell(known, [*_named(rules), *lines, ("prices", why)], reproduced=False)
        rebuilt = _rebuilt(job, known)
        rows = _row_differences(job.source_id, known.card, rebuilt)
        refit = _refit(known, rebuilt, stored / bundle.FOLDER, Path(folder))
    same_rows = "the rows recorded, by their shas as received and as cleaned"
    told = _named(rows) if rows else [("rows", f"{len(rebuilt.rows):,}, {same_rows}")]
    return _tell(known, [*told, *lines, *refit.lines()], reproduced=not rows and refit.largest <= TOLERANCE)


def _of_build(job: Job, known: ModelVersion) -> Lines:
    lines = _named(build_differences(known.card, job.settings))
    nobody_knows = ", ".join(unknown(known.card, job.settings)).replace("_", " ")
    return [*lines, *([("not known", nobody_knows)] if nobody_knows else [])]


def _named(differences: Sequence[Difference]) -> Lines:
    return [(f"differs: {one.what}", one) for one in differences]


def _rebuilt(job: Job, known: ModelVersion) -> Rebuilt:
    batches = [int(number) for number in known.card["batches"]]
    log().info("rebuilding", version=known.version, batches=batches)
    with read_only(job.raw).connect() as source, read_only(job.ledger).connect() as sorting:
        found = rebuild(source, sorting, job.source_id, batches)
    if not len(found.rows):
        raise NotComparable(f"RAW has no listing of batches {batches} in the train part any more")
    return found


def _row_differences(source_id: str, card: Mapping[str, Any], rebuilt: Rebuilt) -> list[Difference]:
    """Return what of the data set is not what the card says: in all, then batch by batch as received and as cleaned."""
    whole = {
        "rows": (card["rows"], len(rebuilt.rows)),
        "fingerprint": (card["fingerprint"], rebuilt.fingerprint(source_id)),
    }
    found = {what: (str(recorded), str(now)) for what, (recorded, now) in whole.items()}
    for name, shas in (("content_shas", rebuilt.content_shas), ("clean_digests", rebuilt.clean_digests)):
        what = "received" if name == "content_shas" else "cleaned"
        recorded = dict(zip(card["batches"], card.get(name, ()), strict=False))
        found |= {f"batch {number} as {what}": (recorded.get(number, sha), sha) for number, sha in shas.items()}
    return [Difference(what, recorded, now) for what, (recorded, now) in found.items() if recorded != now]


def _refit(known: ModelVersion, rebuilt: Rebuilt, stored: Path, folder: Path) -> Refit:
    card, rows = known.card, rebuilt.rows
    threads, seed = int(card["threads"]), int(card["seed"])
    log().info("refitting", rows=len(rows), trees=card["trees"], threads=threads, seed=seed)
    fitted = train.fit(rows, card["parameters"], int(card["trees"]), threads, seed)
    again = folder / "again"
    again.mkdir()
    bundle.write(again, fitted, train.golden(rows), card)
    try:
        before, now = bundle.load(stored), bundle.load(again)
    except BundleBroken as error:
        raise NotComparable(f"version {known.version} cannot be read by this code: {error}") from error
    some = np.sort(np.random.default_rng(seed).permutation(len(rows))[:SAMPLE_ROWS])
    sample = rows.columns.take(some)
    margins = np.concatenate([now.margins(sample) - before.margins(sample), _golden_differences(before, now)])
    equal = {name: (stored / name).read_bytes() == (again / name).read_bytes() for name in _COMPARED}
    return Refit(len(margins), float(np.abs(np.expm1(margins.astype(np.float64))).max()), equal)


def _golden_differences(before: Bundle, now: Bundle) -> Any:
    recorded = np.array([golden.margin for golden in before.golden])
    return now.margins([golden.listing for golden in before.golden]) - recorded


def _tell(known: ModelVersion, lines: Lines, *, reproduced: bool) -> int:
    batches = ", ".join(map(str, known.card["batches"]))
    logs.close(
        f"train · version {known.version} of {registry.MODEL} made again",
        [
            ("trained", f"{known.card.get('trained_at')} on batches {batches}"),
            *lines,
            ("result", "reproduced" if reproduced else "not reproduced"),
        ],
        f"exit code {DONE if reproduced else FAILED}",
    )
    return DONE if reproduced else FAILED
