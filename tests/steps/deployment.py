"""A deployment in miniature for tests of single steps: runs that have come as far as wanted, versions, evidence.

What steps before the tested one leave behind is written through the same functions that they use.
"""

import os
import random
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from psycopg import sql
from sqlalchemy import Engine, create_engine, text

from local.mlflow_server import MlflowServer
from local.postgres import SUPERUSER
from steps.common import registry
from steps.common.listing import SCOPE_VERSION
from steps.common.settings import Settings
from steps.common.step import ORDER
from steps.common.store import ledger, models
from steps.common.store.ledger import Claim, Completion
from steps.common.store.models import AliasEvent, ModelFile
from steps.common.tracking import Tracking, pipeline_run
from tests import warm
from tests.servers import ROOT, Databases

SOURCE = "test source"
CONTENT = b"not a model, but of these very bytes"


@dataclass
class Deployment:
    """One source's databases and MLflow, and a folder for files on their way."""

    databases: Databases
    mlflow: MlflowServer
    folder: Path

    @cached_property
    def environment(self) -> dict[str, str]:
        """Return the variables a step is led here by."""
        return {
            **self.databases.settings(),
            "APPRAISER_MLFLOW_URL": self.mlflow.url,
            "APPRAISER_SOURCE_ID": SOURCE,
        }

    @cached_property
    def tracking(self) -> Tracking:
        """Return a client of the MLflow server."""
        return Tracking(Settings(mlflow_url=self.mlflow.url))

    @cached_property
    def ledger(self) -> Engine:
        """Return the ledger, as the role of the steps."""
        return create_engine(self.databases.url("ledger"))

    @cached_property
    def clean(self) -> Engine:
        """Return CLEAN, as the role of the steps."""
        return create_engine(self.databases.url("clean"))

    def claim(self, run_id: str, batch: int = 0, *, done: str | None = None, adopting: Claim | None = None) -> Claim:
        """Give a run a claim on a batch, with completions of every step up to `done`, adopted ones if so wanted."""
        with self.ledger.begin() as connection:
            ledger.append_run(connection, run_id, SOURCE, force_train=False)
            claim = ledger.claim_batch(connection, run_id, SOURCE, batch, f"content {batch}", force_train=False)
        for step in ORDER[: ORDER.index(done) + 1] if done else ():
            self.complete(claim, step, adopting=adopting)
        return claim

    def complete(
        self, claim: Claim, step: str, digest: str = "d", summary: dict[str, Any] | None = None,
        adopting: Claim | None = None, outcome: str | None = None,
    ) -> None:  # fmt: skip
        """Write a step's completion row, of today's scope, and the batch's outcome if that ends it."""
        source = adopting.claim_id if adopting else None
        done = Completion(
            claim.claim_id, step, 0, digest, {"scope_version": SCOPE_VERSION, **(summary or {})}, source, 0.0
        )
        with self.ledger.begin() as connection:
            ledger.append_completion(connection, done, None, outcome)

    def version(self, claim: Claim, files: Path | None = None, card: dict[str, Any] | None = None) -> int:
        """Register a version whose model directory is a folder's files, or one file of no meaning."""
        from steps.common.bundle import manifest

        if files is None:
            files = self.folder / f"files of {claim.claim_id}"
            files.mkdir()
            (files / "model.bin").write_bytes(CONTENT + str(claim.claim_id).encode())
        run = pipeline_run(self.tracking, claim)
        self.tracking.log_artifacts(run, str(files), "model")
        uri = f"{self.tracking.get_run(run).info.artifact_uri}/model"
        if not self.tracking.search_registered_models(f"name = '{registry.MODEL}'"):
            self.tracking.create_registered_model(registry.MODEL)
        made = int(self.tracking.create_model_version(registry.MODEL, uri, run).version)
        listed = [ModelFile(path, sha, size) for path, (sha, size) in manifest(files).items()]
        with self.ledger.begin() as connection:
            models.append_version(
                connection, models.ModelVersion(made, claim.claim_id, run, uri, "fingerprint", card or {}), listed
            )
        return made

    def versions(self, count: int) -> list[int]:
        """Register so many versions, each of a run and batch of its own."""
        return [self.version(self.claim(f"run {number}", number)) for number in range(count)]

    def stored(self, version: int, path: str) -> Path:
        """Return where the artifact store keeps a file of a version."""
        with self.ledger.connect() as connection:
            known = models.model_version(connection, version)
        assert known is not None
        return self.mlflow.folder / "artifacts" / known.artifact_uri.removeprefix("mlflow-artifacts:/") / path

    def set_alias(self, version: int, alias: str = registry.PRODUCTION) -> None:
        """Set an alias as somebody would by hand."""
        self.tracking.set_registered_model_alias(registry.MODEL, alias, str(version))

    def aliases(self) -> tuple[int | None, int | None]:
        """Return the versions that Production and previous name."""
        return registry.champion(self.tracking), registry.previous(self.tracking)

    def events(self) -> list[AliasEvent]:
        """Return the alias's whole history."""
        with self.ledger.connect() as connection:
            rows = connection.execute(text("SELECT * FROM alias_events ORDER BY event_id")).all()
        return [AliasEvent(**{name: getattr(row, name) for name in AliasEvent.__dataclass_fields__}) for row in rows]

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return a table of the ledger, in the order it was written."""
        with self.ledger.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(text(f"SELECT * FROM {table} ORDER BY 1, 2"))]  # noqa: S608

    def everything(self) -> list[Any]:
        """Return all there is in every database and in MLflow, for comparing before and after what writes nothing."""
        found: list[Any] = []
        for name in self.databases.names:
            with self.databases.connect(name, SUPERUSER) as connection:
                tables = connection.execute("SELECT relname::text FROM pg_stat_user_tables ORDER BY 1").fetchall()
                for (table,) in tables:
                    query = sql.SQL("SELECT t::text FROM {} t ORDER BY 1").format(sql.Identifier(str(table)))
                    found += [table, connection.execute(query).fetchall()]
        files = sorted((path, path.stat().st_mtime_ns) for path in (self.mlflow.folder / "artifacts").rglob("*"))
        experiments = [one.experiment_id for one in self.tracking.search_experiments()]
        runs = [run.to_dictionary() for run in self.tracking.search_runs(experiments)]
        return [*found, files, runs, [dict(one) for one in self.tracking.search_model_versions("")], self.aliases()]

    def run(
        self, step: str, *options: str, killed_at: str | None = None, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a step in the environment of its own image, to its end or to a commit boundary."""
        arguments = [*killed(step, killed_at), *options]
        process = warm.start(step, arguments, self._variables(settings))
        output, errors = process.communicate(timeout=300)
        return subprocess.CompletedProcess(arguments, process.wait(), output, errors)

    def start(self, step: str, *options: str, **settings: str) -> warm.Process:
        """Start a step and do not wait for it."""
        return warm.start(step, [*killed(step, None), *options], self._variables(settings), together=True)

    def kill_at_a_moment(self, step: str, seed: int, longest: float, *options: str, **settings: str) -> None:
        """Start a step and kill it at a random moment, `longest` seconds after its start at the latest.

        On a busy machine all moments are early ones; on a quiet one some are after its end.
        """
        process = self.start(step, *options, **settings)
        try:
            process.wait(random.Random(f"{step} {seed}").uniform(0.5, longest))  # noqa: S311  # a moment, not a secret
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()

    def _variables(self, settings: dict[str, str]) -> dict[str, str]:
        return {"PATH": os.defpath, "PYTHONPATH": str(ROOT), **self.environment, **settings}

    def close(self) -> None:
        """Close the connections made here."""
        for name in ("ledger", "clean"):
            if (engine := self.__dict__.get(name)) is not None:
                engine.dispose()


def killed(step: str, boundary: str | None) -> list[str]:
    """Return what Python is to run for a step, killed at a commit boundary if one is named."""
    return ["-m", "tests.killed_at", boundary, f"steps.{step}"] if boundary else ["-m", f"steps.{step}"]


def change_a_byte(path: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
