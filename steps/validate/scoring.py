"""Brings model versions to the batch: their verified files, the champion's own listings from CLEAN, prices for both."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from steps.common import bundle, registry
from steps.common.artifacts import FileBroken
from steps.common.bundle import Bundle, BundleBroken
from steps.common.columns import Columns, Floats
from steps.common.listing import SCOPE_VERSION, SPLIT_VERSION
from steps.common.logs import log
from steps.common.step import Job
from steps.common.store import clean, ledger, models
from steps.common.tracking import Tracking
from steps.validate.batch import Batch
from steps.validate.champion_error import ChampionError, Scored, compare, score, scored_buckets
from steps.validate.out_of_line import out_of_line
from steps.validate.policy import Policy
from steps.validate.probe import Houses, Recipe, RetrainValue, retrain_value, sampled_buckets
from steps.validate.validate import Report


class VersionUnusable(Exception):
    """A version cannot price today's houses, or has seen some of the test part: nothing can be told of it."""


@dataclass(frozen=True)
class Version:
    """A loaded model version and what it says houses cost."""

    version: int
    bundle: Bundle

    def prices(self, columns: Columns) -> Floats:
        """Return each listing's price in dollars; raise VersionUnusable where one has none."""
        try:
            return self.bundle.prices(columns)
        except OverflowError as error:
            raise VersionUnusable(f"version {self.version} cannot be scored: {error}") from error


@dataclass
class Scoring:
    """A batch, and whoever is to price it."""

    job: Job
    tracking: Tracking
    batch: Batch
    policy: Policy
    folder: Path
    loaded: dict[int, Version] = field(default_factory=dict)

    def version(self, number: int) -> Version:
        """Return a version ready for use, loaded once.

        Raises VersionUnusable for files that are not those of training or that this code cannot read, and for another
        rule of splitting. Unreachable when MLflow does not hand them out.
        """
        if number not in self.loaded:
            self.loaded[number] = self._load(number)
        return self.loaded[number]

    def _load(self, number: int) -> Version:
        try:
            folder = registry.fetch_version(self.tracking, self.job.ledger, number, self.folder)
            found = bundle.load(folder / bundle.FOLDER)
            split, _ = found.card["split_version"], (found.card["parameters"], found.card["trees"])
        except (FileBroken, BundleBroken, KeyError) as error:
            raise VersionUnusable(f"version {number} cannot be scored: {type(error).__name__}: {error}") from error
        if split != SPLIT_VERSION:
            raise VersionUnusable(
                f"version {number} was trained under {split}: it has seen test houses of {SPLIT_VERSION}"
            )
        return Version(number, found)

    def here(self, version: Version) -> Scored:
        """Return what a version says of the batch's test part, or of as many buckets of it as the policy asks."""
        rows = self.rows(scored_buckets(len(self.batch), self.policy))
        return score(version, rows.columns, rows.price, rows.property_id)

    def rows(self, buckets: Collection[int]) -> Houses:
        """Return the batch's kept rows of some buckets."""
        batch = self.batch
        rows = np.flatnonzero(batch.kept & np.isin(batch.bucket, list(buckets)))
        return Houses(batch.columns.take(rows), batch.price[rows], batch.property_id[rows])


@contextmanager
def scoring(job: Job, tracking: Tracking, batch: Batch, policy: Policy) -> Iterator[Scoring]:
    """Give a place to score a batch in, with a folder for files that goes with it."""
    with tempfile.TemporaryDirectory() as folder:
        yield Scoring(job, tracking, batch, policy, Path(folder))


def with_champion(at_work: Scoring, number: int, report: Report) -> Report:
    """Return the report with the champion's error on the batch beside its own, and what a training would gain.

    A champion that cannot be scored is said to be so; the verdict goes on without it, as evaluate does.
    """
    try:
        champion = at_work.version(number)
        error, value = _error(at_work, champion), _value(at_work, champion)
    except VersionUnusable as reason:
        return dataclasses.replace(report, champion_unusable=str(reason))
    scope, notes = champion.bundle.card["scope_version"], report.notes
    if scope != SCOPE_VERSION:
        notes = (*notes, f"version {number} was trained on houses of {scope}, those here are of {SCOPE_VERSION}")
    return dataclasses.replace(report, champion=error, retrain_value=value, notes=notes)


def _error(at_work: Scoring, champion: Version) -> ChampionError | None:
    batches, listings = _own_batches(at_work, champion.version)
    own = _read(at_work, batches, scored_buckets(listings, at_work.policy))
    mine = score(champion, own.columns, own.price, own.property_id)
    return compare(champion.version, at_work.here(champion), mine, at_work.policy)


def _value(at_work: Scoring, champion: Version) -> RetrainValue:
    job, policy, card = at_work.job, at_work.policy, champion.bundle.card
    batches, listings = _own_batches(at_work, champion.version, without=job.claim.batch_number)
    recipe = Recipe(champion.version, card["parameters"], int(card["trees"]), listings)
    kept = int(at_work.batch.kept.sum())
    old = _read(at_work, batches, sampled_buckets(listings, policy.probe_rows))
    new = at_work.rows(sampled_buckets(kept, policy.probe_rows))
    log().info("probing", version=champion.version, rows_before=len(old), rows_of_batch=len(new))
    return retrain_value(recipe, _in_line(champion, old, policy), _in_line(champion, new, policy), kept, policy)


def _in_line(champion: Version, houses: Houses, policy: Policy) -> Houses:
    # A digit too many is as bad to learn from as to be judged by.
    said = champion.prices(houses.columns)
    return houses.take(~out_of_line(houses.price, said, houses.columns.categories["state"], policy))


def _own_batches(at_work: Scoring, version: int, without: int | None = None) -> tuple[list[int], int]:
    """Return the batches a version was trained on, but for one, and how many listings they have."""
    job = at_work.job
    with job.ledger.connect() as connection:
        known = models.model_version(connection, version)
        batches = list(ledger.frozen_dataset(connection, known.claim_id)) if known else []
    batches = [number for number in batches if number != without]
    with job.clean.connect() as connection:
        return batches, sum(clean.listings_by_batch(connection, job.source_id, batches).values())


def _read(at_work: Scoring, batches: list[int], buckets: Collection[int]) -> Houses:
    with at_work.job.clean.connect() as connection:
        found = clean.read(connection, at_work.job.source_id, batches, buckets)
    return Houses(found.columns, found.price, found.property_id)
