"""Brings the champion to the batch: its verified files, its own test part from CLEAN, its prices for both."""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steps.common import bundle, registry
from steps.common.artifacts import FileBroken
from steps.common.bundle import Bundle, BundleBroken
from steps.common.columns import Columns, Floats
from steps.common.listing import SPLIT_VERSION
from steps.common.step import Job, Refused
from steps.common.store import clean, ledger, models
from steps.common.store.clean import Listings
from steps.common.tracking import Tracking
from steps.validate.batch import Batch
from steps.validate.champion_error import Beside, ChampionError, beside, compare, score, scored_buckets
from steps.validate.policy import Policy
from steps.validate.validate import Report


class ChampionUnusable(Refused):
    """The version in production cannot be scored on today's houses, so nobody can tell how it does on this batch."""


@dataclass(frozen=True)
class Version:
    """A loaded model version and what it says houses cost."""

    version: int
    bundle: Bundle

    def prices(self, columns: Columns) -> Floats:
        """Return each listing's price in dollars."""
        return self.bundle.prices(columns)


def with_champion(job: Job, tracking: Tracking, version: int, batch: Batch, report: Report, policy: Policy) -> Report:
    """Return the report with the champion's error on the batch beside its own, and the previous version's.

    Raises ChampionUnusable for a champion whose files are not those of training, or trained under another split.
    """
    with tempfile.TemporaryDirectory() as folder:
        champion = _load(job, tracking, version, Path(folder))
        found = _error(job, champion, batch, policy)
        earlier = registry.previous(tracking)
        if earlier is None or earlier == version:
            return dataclasses.replace(report, champion=found)
        try:
            previous = _beside(_load(job, tracking, earlier, Path(folder)), batch, policy)
        except ChampionUnusable as reason:
            return dataclasses.replace(report, champion=found, notes=(*report.notes, str(reason)))
    return dataclasses.replace(report, champion=found, previous=previous)


def _load(job: Job, tracking: Tracking, version: int, folder: Path) -> Version:
    try:
        found = bundle.load(registry.fetch_version(tracking, job.ledger, version, folder) / bundle.FOLDER)
        split = found.card["split_version"]
    except (FileBroken, BundleBroken, KeyError) as error:
        raise ChampionUnusable(f"version {version} cannot be scored: {type(error).__name__}: {error}") from error
    if split != SPLIT_VERSION:
        raise ChampionUnusable(
            f"version {version} was trained under {split}: it has seen test houses of {SPLIT_VERSION}"
        )
    return Version(version, found)


def _error(job: Job, champion: Version, batch: Batch, policy: Policy) -> ChampionError | None:
    rows = _test_rows(batch, policy)
    columns, own = batch.columns.take(rows), _own_test_part(job, champion.version, policy)
    return compare(
        champion.version,
        score(champion, columns, batch.price[rows], batch.property_id[rows]),
        score(champion, own.columns, own.price, own.property_id),
        policy,
    )


def _beside(version: Version, batch: Batch, policy: Policy) -> Beside | None:
    rows = _test_rows(batch, policy)
    return beside(version, batch.columns.take(rows), batch.price[rows])


def _test_rows(batch: Batch, policy: Policy) -> NDArray[np.intp]:
    """Return the positions of the rows a batch is scored on: kept, of test buckets, no more than asked."""
    buckets = scored_buckets(len(batch), policy)
    return np.flatnonzero(batch.kept & (batch.bucket >= buckets.start) & (batch.bucket < buckets.stop))


def _own_test_part(job: Job, version: int, policy: Policy) -> Listings:
    """Return listings of the batches a version was trained on, of as many test buckets as the policy asks."""
    with job.ledger.connect() as connection:
        known = models.model_version(connection, version)
        batches = list(ledger.frozen_dataset(connection, known.claim_id)) if known else []
    with job.clean.connect() as connection:
        rows = sum(clean.listings_by_batch(connection, job.source_id, batches).values())
        return clean.read(connection, job.source_id, batches, scored_buckets(rows, policy))
