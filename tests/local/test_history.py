"""What `make run` shows and writes: read from a real ledger, as the role that may only read it."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine

from local.history import History, read_history
from local.progress import Progress
from steps.common.store import ledger, models
from steps.common.store.ledger import Claim, Completion, Verdict
from steps.common.store.models import ModelVersion
from tests.servers import Databases
from tests.steps.promote.evidence import evidence

SOURCE = "a source"
REASON = {"code": "NO_CHAMPION", "sentence": "no version is in production yet"}
ALL_STEPS = ("fetch", "validate", "clean", "tune", "train", "evaluate", "promote")


class Book:
    """A ledger that is written by the pipeline's role, run by run."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def claim(self, run: str, batch: int) -> Claim:
        """Give a run the next attempt at a batch."""
        with self._engine.begin() as connection:
            ledger.append_run(connection, run, SOURCE, force_train=False)
            return ledger.claim_batch(connection, run, SOURCE, batch, "sha", force_train=False)

    def complete(
        self, claim: Claim, step: str, summary: dict[str, Any] | None = None, verdict: str | None = None,
        outcome: str | None = None, adopted: Claim | None = None, code: int = 0,
    ) -> None:  # fmt: skip
        """Write down that a step is done."""
        source = adopted.claim_id if adopted else None
        done = Completion(claim.claim_id, step, code, f"digest of {step}", summary or {}, source, 2.5)
        decided = Verdict(verdict, [REASON], {}, {}) if verdict else None
        with self._engine.begin() as connection:
            ledger.append_completion(connection, done, decided, outcome)

    def measure(self, claim: Claim, candidate: int, champion: int | None) -> None:
        """Write down a candidate and how it did beside a champion."""
        found = evidence(
            52_000, 55_000 if champion else None, candidate_version=candidate, champion_version=champion or 1
        )
        with self._engine.begin() as connection:
            version = ModelVersion(candidate, claim.claim_id, "a run", "mlflow-artifacts:/there", "fingerprint", {})
            models.append_version(connection, version, [models.ModelFile("model.ubj", "0" * 64, 1)])
            models.append_evidence(connection, models.Evidence(claim.claim_id, champion or 0, candidate, "sha", found))

    def promote(self, candidate: int) -> None:
        """Write down that the alias was moved."""
        with self._engine.begin() as connection:
            intent = models.append_alias_event(connection, "PROMOTE_INTENT", reason="better", candidate=candidate)
            assert intent is not None
            models.append_alias_event(
                connection, "ALIAS_SET", reason="set", intent_id=intent.event_id, candidate=candidate
            )

    def finish(self, run: str, batch: int, candidate: int, champion: int | None, outcome: str) -> Claim:
        """Write a whole run down, to its verdict."""
        claim = self.claim(run, batch)
        for step in ALL_STEPS:
            if step == "evaluate":
                self.measure(claim, candidate, champion)
            summary = {"fetch": {"rows": 100 + batch}, "clean": {"rows": 100 + batch, "refused": batch}}.get(step)
            self.complete(
                claim, step, summary, {"validate": "TRAIN", "promote": outcome}.get(step),
                outcome if step == "promote" else None,
            )  # fmt: skip
        return claim


@pytest.fixture
def book(databases: Databases) -> Iterator[Book]:
    engine = create_engine(databases.url("ledger"))
    yield Book(engine)
    engine.dispose()


@pytest.fixture
def reading(databases: Databases) -> Iterator[Connection]:
    engine = create_engine(databases.url("ledger", role="serving"))
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def written(history: History, folder: Path) -> dict[str, Any]:
    history.write(folder / "summary.json")
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return found


def table(history: History) -> str:
    stream = io.StringIO()
    Progress(stream).show_table(history)
    return stream.getvalue()


def test_an_empty_ledger_is_an_empty_summary(reading: Connection, tmp_path: Path) -> None:
    history = read_history(reading)
    assert written(history, tmp_path) == {"batches": [], "production": None}
    assert "Production is no version yet" in table(history)


def test_a_first_model_has_no_champion_and_no_gain(book: Book, reading: Connection, tmp_path: Path) -> None:
    book.finish("run 0", 0, candidate=1, champion=None, outcome="PROMOTE")
    book.promote(1)
    summary = written(read_history(reading), tmp_path)
    assert summary["production"] == 1
    (batch,) = summary["batches"]
    assert batch.pop("seconds") >= 0
    assert batch == {
        "batch": 0,
        "rows": 100,
        "refused": 0,
        "validate": {"verdict": "TRAIN", "reasons": [REASON]},
        "candidate": {"version": 1, "rmse": 52_000, "mae": 40_560, "r2": 0.8, "mdape": 0.12},
        "champion": None,
        "gain": None,
        "promote": {"verdict": "PROMOTE", "reasons": [REASON]},
        "steps": dict.fromkeys(ALL_STEPS, 2.5),
    }


def test_a_second_model_is_set_beside_the_champion(book: Book, reading: Connection, tmp_path: Path) -> None:
    book.finish("run 0", 0, candidate=1, champion=None, outcome="PROMOTE")
    book.promote(1)
    book.finish("run 1", 1, candidate=2, champion=1, outcome="HOLD")
    history = read_history(reading)
    batch = written(history, tmp_path)["batches"][1]
    assert batch["champion"] == {"version": 1, "rmse": 55_000, "mae": 42_900, "r2": 0.8, "mdape": 0.12}
    # A normal distribution around 3,000 with a standard error of 150: 1.96 of those to either side.
    assert batch["gain"]["low"] == pytest.approx(3000 - 1.96 * 150, rel=0.01)
    assert batch["gain"]["high"] == pytest.approx(3000 + 1.96 * 150, rel=0.01)
    assert history.production == 1
    row = next(line for line in table(history).splitlines() if "HOLD" in line)
    for cell in ("101", "TRAIN", "NO_CHAMPION: no version is in production yet", "52,000", "55,000", "2,70", "3,29"):
        assert cell in row


def test_a_skipped_batch_ends_without_a_model(book: Book, reading: Connection, tmp_path: Path) -> None:
    claim = book.claim("run 0", 0)
    book.complete(claim, "fetch", {"rows": 7})
    book.complete(claim, "validate", verdict="SKIP")
    book.complete(claim, "clean", {"refused": 1}, outcome="SKIP")
    book.complete(claim, "tune", code=99)
    history = read_history(reading)
    (batch,) = written(history, tmp_path)["batches"]
    assert history.finished == 1
    assert (batch["rows"], batch["refused"], batch["validate"]["verdict"]) == (7, 1, "SKIP")
    assert [batch[name] for name in ("candidate", "champion", "gain", "promote")] == [None] * 4


def test_a_batch_without_a_verdict_counts_as_unfinished(book: Book, reading: Connection) -> None:
    book.complete(book.claim("run 0", 0), "fetch", {"rows": 7})
    history = read_history(reading)
    assert (history.finished, history.batches[0].outcome) == (0, None)
    assert "no verdict" in table(history)


def test_what_an_attempt_adopted_is_shown_as_the_first_one_did_it(
    book: Book, reading: Connection, tmp_path: Path
) -> None:
    first = book.claim("run 0", 0)
    book.complete(first, "fetch", {"rows": 7})
    book.complete(first, "validate", verdict="TRAIN")
    second = book.claim("run 1", 0)
    book.complete(second, "fetch", {"rows": 7}, adopted=first)
    book.complete(second, "validate", adopted=first)
    (batch,) = written(read_history(reading), tmp_path)["batches"]
    assert batch["validate"]["verdict"] == "TRAIN"
    assert batch["steps"] == {"fetch": 2.5, "validate": 2.5}


def test_an_attempt_at_a_finished_batch_does_not_hide_its_verdict(book: Book, reading: Connection) -> None:
    book.finish("run 0", 0, candidate=1, champion=None, outcome="PROMOTE")
    book.complete(book.claim("run 1", 0), "fetch", {"rows": 7})
    (batch,) = read_history(reading).batches
    assert (batch.outcome, batch.claim.run_id) == ("PROMOTE", "run 0")


def test_the_reading_role_can_change_nothing(databases: Databases) -> None:
    import psycopg

    with (
        databases.connect("ledger", role="serving") as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("INSERT INTO sources (source_id) VALUES ('of a reader')")
