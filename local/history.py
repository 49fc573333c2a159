"""What the ledger says became of every batch, as `make run` shows it and writes it to summary.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection

from steps.common.evidence import Evidence, Model
from steps.common.store import history as rows
from steps.common.store import models
from steps.common.store.history import BatchRecord, Done, Given
from steps.common.store.ledger import Claim

ABANDONED: Final = "ABANDONED"
# The interval shown: 95 %, from both ends of the bootstrap's distribution.
_LOW, _HIGH = 0.025, 0.975


@dataclass(frozen=True)
class BatchHistory:
    """A batch: its newest attempt with an outcome (without one, its newest attempt), step by step.

    `completions` are by step, where a step was adopted those of the attempt that did the work; `outcome` is None for a
    batch that has not reached a verdict yet.
    """

    claim: Claim
    outcome: str | None
    seconds: float
    completions: Mapping[str, Done]
    validate: Given | None
    promote: Given | None
    evidence: Evidence | None = field(repr=False, default=None)

    @property
    def rows(self) -> int | None:
        """The rows that were fetched."""
        return self._figure("fetch", "rows")

    @property
    def refused(self) -> int | None:
        """The rows that clean refused."""
        return self._figure("clean", "refused")

    def _figure(self, step: str, name: str) -> int | None:
        done = self.completions.get(step)
        return None if done is None else done.summary.get(name)

    @property
    def gain(self) -> tuple[float, float] | None:
        """The interval of the champion's RMSE minus the candidate's, in dollars; None where there was no champion."""
        gain = self.evidence.gain if self.evidence else None
        return (gain.distribution.quantile(_LOW), gain.distribution.quantile(_HIGH)) if gain else None

    def as_json(self) -> dict[str, Any]:
        """Return the batch as summary.json has it."""
        evidence = self.evidence
        return {
            "batch": self.claim.batch_number,
            "rows": self.rows,
            "refused": self.refused,
            "validate": _verdict(self.validate),
            "candidate": _model(evidence.candidate) if evidence else None,
            "champion": _model(evidence.champion) if evidence and evidence.champion else None,
            "gain": dict(zip(("low", "high"), self.gain, strict=True)) if self.gain else None,
            "promote": _verdict(self.promote),
            "seconds": round(self.seconds, 1),
            "steps": {step: done.seconds for step, done in self.completions.items()},
        }


@dataclass(frozen=True)
class History:
    """Every batch the ledger knows, by number, and the version in production."""

    batches: Sequence[BatchHistory]
    production: int | None

    @property
    def finished(self) -> int:
        """How many batches have reached their end, ABANDONED ones included."""
        return sum(batch.outcome is not None for batch in self.batches)

    def write(self, path: Path) -> None:
        """Write summary.json, whole or not at all."""
        summary = {"batches": [batch.as_json() for batch in self.batches], "production": self.production}
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(summary, indent=2) + "\n")
        draft.rename(path)


def read_history(connection: Connection) -> History:
    """Read every batch of a ledger."""
    numbers, _ = rows.batch_numbers(connection)
    setting = models.newest_setting(connection)
    return History(_read(connection, sorted(numbers)), setting.candidate if setting else None)


def read_batch(connection: Connection, number: int) -> BatchHistory | None:
    """Read one batch, None where nobody has a claim on it."""
    return next(iter(_read(connection, [number])), None)


def _read(connection: Connection, numbers: Sequence[int]) -> list[BatchHistory]:
    return [
        BatchHistory(
            found.shown.claim, found.shown.outcome, found.seconds, found.steps, found.verdicts.get("validate"),
            found.verdicts.get("promote"), _evidence(connection, found),
        )
        for found in rows.batches(connection, numbers)
    ]  # fmt: skip


def _evidence(connection: Connection, found: BatchRecord) -> Evidence | None:
    measured = rows.newest_evidence(connection, found.origin("evaluate"))
    return None if measured is None else Evidence.model_validate(measured)


def _verdict(found: Given | None) -> dict[str, Any] | None:
    return {"verdict": found.verdict, "reasons": list(found.reasons)} if found else None


def _model(found: Model) -> dict[str, Any]:
    metrics = found.metrics
    return {
        "version": found.version, "rmse": metrics.rmse, "mae": metrics.mae, "r2": metrics.r2, "mdape": metrics.mdape,
    }  # fmt: skip
