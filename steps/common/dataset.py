"""The data set of a run: the clean listings of its frozen list of batches, in a train and a test part.

Which batches is decided once, by validate, and written down; a restart reads the same list. Which part a house is in
is decided by its property id alone, so a house is never in both and no champion has seen a test row.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from sqlalchemy import Engine

from steps.common.listing import FIRST_SCOPE_VERSION, SCOPE_VERSION, SPLIT_VERSION, TEST_BUCKETS, TRAIN_BUCKETS
from steps.common.step import Job, Refused
from steps.common.store import clean, cleanings, ledger
from steps.common.store.clean import Listings
from steps.common.store.ledger import Completion


class DataSetChanged(Refused):
    """A batch of the frozen list does not stand in CLEAN under the scope of today."""


@dataclass(frozen=True)
class FrozenList:
    """The batches of a run in order, with the sha of what each contained, as received and as cleaned."""

    source_id: str
    batches: tuple[int, ...]
    content_shas: tuple[str, ...]
    clean_digests: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """Return one sha256 for all rows of the data set, and for the rules of scope and split they were read with."""
        rows = list(zip(self.batches, self.content_shas, self.clean_digests, strict=True))
        return hashlib.sha256(json.dumps([SCOPE_VERSION, SPLIT_VERSION, self.source_id, rows]).encode()).hexdigest()


def frozen_list(job: Job) -> FrozenList:
    """Return the frozen list of a job's run; raise DataSetChanged where a batch was not cleaned by today's scope.

    Clean sees to that for every batch of the list: it is so only where the scope has changed since.
    """
    with job.ledger.connect() as connection:
        batches = ledger.frozen_dataset(connection, job.claim.claim_id)
    with job.clean.connect() as connection:
        others = cleanings.otherwise(connection, job.source_id, list(batches))
        digests = {} if others else cleanings.digests(connection, job.source_id, list(batches))
    if others:
        raise DataSetChanged(
            f"CLEAN does not hold the run's data set under {SCOPE_VERSION}: {cleanings.named(others)}. "
            "Trigger the DAG: the next run judges the batch anew and cleans these again"
        )
    return FrozenList(
        job.source_id,
        tuple(batches),
        tuple(batches.values()),
        tuple(digests[number] for number in batches),
    )


def scope_of(done: Completion) -> str:
    """Return by which rules of scope a step judged or cleaned."""
    return str(done.summary.get("scope_version", FIRST_SCOPE_VERSION))


def of_another_scope(done: Completion) -> bool:
    """Tell whether a step judged or cleaned by other rules of scope than today's."""
    return scope_of(done) != SCOPE_VERSION


def read_train(engine: Engine, frozen: FrozenList) -> Listings:
    """Return the train part, buckets 20 to 99; the test part does not leave the database."""
    with engine.connect() as connection:
        return clean.read(connection, frozen.source_id, frozen.batches, TRAIN_BUCKETS)


def read_test(engine: Engine, frozen: FrozenList) -> Listings:
    """Return the test part, buckets 0 to 19; for evaluate alone."""
    with engine.connect() as connection:
        return clean.read(connection, frozen.source_id, frozen.batches, TEST_BUCKETS)


def median_train_price(engine: Engine, frozen: FrozenList) -> float | None:
    """Return the median price of the train part in dollars: the least any model must beat; None for an empty part."""
    with engine.connect() as connection:
        return clean.median_price(connection, frozen.source_id, frozen.batches, TRAIN_BUCKETS)
