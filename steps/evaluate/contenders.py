"""Versions that are scored: their verified files loaded as serving loads them, what their card says, their prices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps.common import bundle, registry
from steps.common.artifacts import FileBroken
from steps.common.bundle import Bundle, BundleBroken
from steps.common.evidence import Metrics, Model
from steps.common.listing import SCOPE_VERSION, SPLIT_VERSION
from steps.common.step import Job, Refused
from steps.common.store.clean import Listings
from steps.common.tracking import Tracking
from steps.evaluate.scores import Scored, metrics, score


class Unusable(Refused):
    """A version cannot be scored on today's test rows, whatever is tried."""


@dataclass(frozen=True)
class Contender:
    """A version with its bundle and its prices on the test rows."""

    version: int
    bundle: Bundle
    scored: Scored

    @property
    def card(self) -> Any:
        """Return what the version says of itself."""
        return self.bundle.card

    @property
    def batches(self) -> tuple[int, ...]:
        """Return the batches the version was trained on."""
        return tuple(int(number) for number in self.card["batches"])

    def model(self, rows: Listings) -> Model:
        """Return the version as it stands in the evidence."""
        return Model(
            version=self.version,
            batches=self.batches,
            split_version=self.card["split_version"],
            scope_version=self.card["scope_version"],
            metrics=metrics(rows.price, self.scored.prices),
        )


def enter(job: Job, tracking: Tracking, version: int, rows: Listings, folder: Path) -> Contender:
    """Return a version scored on the test rows, from files that are those training wrote.

    Raises Unusable for files that differ or that this code cannot read, and for another rule of splitting: the
    version would have seen some of today's test rows. Unreachable when MLflow does not hand them out.
    """
    try:
        found = bundle.load(registry.fetch_version(tracking, job.ledger, version, folder) / bundle.FOLDER)
        split = found.card["split_version"]
        if split != SPLIT_VERSION:
            raise Unusable(f"version {version} was trained under {split}, the test rows are those of {SPLIT_VERSION}")
        return Contender(version, found, score(version, rows, found.prices))
    except (FileBroken, BundleBroken, KeyError, OverflowError) as error:
        raise Unusable(f"version {version} cannot be scored: {type(error).__name__}: {error}") from error


def unscored(version: int) -> Model:
    """Return a version that could not be scored as it stands in the evidence: with no figure at all."""
    nothing = Metrics(rmse=None, mae=None, r2=None, mdape=None, rmsle=None)
    return Model(version=version, batches=(), split_version="unknown", scope_version="unknown", metrics=nothing)


def same_scope(contender: Contender) -> bool:
    """Tell whether a version was trained on houses of today's scope."""
    return bool(contender.card["scope_version"] == SCOPE_VERSION)
