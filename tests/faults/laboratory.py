"""The drift laboratory: runs each planted cause through the real steps, and holds what they say against the plant.

Each step is a process in its image's environment, on a real PostgreSQL, a real MLflow server and the real source; only
Airflow is left out, which starts them in a row and decides nothing. The champion is trained once, on the base batch;
every scenario starts from a copy of those databases.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from sqlalchemy import text

from local.mlflow_server import MlflowServer
from local.postgres import SUPERUSER, Server
from steps.common import bundle, registry
from steps.common.evidence import Evidence
from steps.common.explanation import Explanation
from steps.common.step import DONE, ORDER
from tests.bench.database import postgres
from tests.faults.market import base_batch, write_source
from tests.faults.scenarios import Scenario
from tests.local.source_server import RunningSource, running_source
from tests.servers import Databases, copy_databases
from tests.steps.deployment import SOURCE, Deployment
from tests.tracking import serving

TRIALS: Final = "4"
POOR: Final = {"depth": 3, "learning_rate": 0.3, "leaf_rows": 400.0, "column_share": 0.3}
POOR_TREES: Final = 12


@dataclass(frozen=True)
class Judged:
    """What the steps said of a scenario without force: fetch's exit code and refusal, validate's verdict."""

    exit_code: int
    refusal: str
    verdict: str | None
    reasons: tuple[dict[str, Any], ...]
    both_parts: int


@dataclass(frozen=True)
class Trained:
    """What the steps said with a training forced: the evidence, its explanation, promote's verdict and reasons."""

    candidate: bundle.Bundle
    evidence: Evidence
    explanation: Explanation
    promote: str
    sentence: str


@dataclass
class Laboratory:
    """One PostgreSQL, one MLflow server and the databases in which a champion of the base batch is in production."""

    server: Server
    mlflow: MlflowServer
    folder: Path
    base: Databases
    champion: int

    @contextmanager
    def deployment(self, name: str) -> Iterator[Deployment]:
        """Lend a copy of the base's databases; the alias names the champion again, whatever a run before did."""
        folder = self.folder / name
        folder.mkdir(parents=True)
        made = Deployment(copy_databases(self.server, self.base.names), self.mlflow, folder)
        made.set_alias(self.champion)
        if registry.previous(made.tracking) is not None:
            made.tracking.delete_registered_model_alias(registry.MODEL, registry.PREVIOUS)
        try:
            yield made
        finally:
            made.close()

    def judge(self, scenario: Scenario) -> Judged:
        """Send a scenario's batch through fetch, validate and clean, unforced."""
        name = f"{scenario.name} judged"
        with self.deployment(name) as deployment, self._source(scenario, name) as source:
            run = f"lab/{name}"
            fetched = _step(deployment, source, "fetch", run)
            refusals = _rows(deployment, "raw", "SELECT reason FROM fetch_attempts WHERE reason IS NOT NULL ORDER BY 1")
            if fetched != DONE:
                return Judged(fetched, " ".join(reason for (reason,) in refusals), None, (), 0)
            code = _step(deployment, source, "validate", run)
            if code == DONE:
                _step(deployment, source, "clean", run)
            found = _newest(deployment, "SELECT * FROM verdicts WHERE step = 'validate' ORDER BY claim_id DESC")
            return Judged(code, "", found["verdict"], tuple(found["reasons"]), _on_both_sides(deployment))

    def train(self, scenario: Scenario) -> Trained:
        """Send a scenario's batch through all seven steps with a training forced."""
        name = f"{scenario.name} trained"
        with self.deployment(name) as deployment, self._source(scenario, name) as source:
            run = f"lab/{name}"
            for step in ORDER:
                _step(deployment, source, step, run)
            newest = _newest(deployment, "SELECT * FROM evidence ORDER BY measured_at DESC")
            explained = _newest(deployment, "SELECT * FROM explanations ORDER BY explained_at DESC")
            verdict = _newest(deployment, "SELECT * FROM verdicts WHERE step = 'promote' ORDER BY claim_id DESC")
            return Trained(
                _loaded(deployment, newest["candidate_version"]),
                Evidence.model_validate(newest["evidence"]),
                Explanation.model_validate(explained["explanation"]),
                verdict["verdict"],
                verdict["reasons"][0]["sentence"],
            )

    @cached_property
    def champion_bundle(self) -> bundle.Bundle:
        """Return the champion as it serves."""
        with self.deployment("champion") as deployment:
            return _loaded(deployment, self.champion)

    @contextmanager
    def _source(self, scenario: Scenario, name: str) -> Iterator[RunningSource]:
        batches = [base_batch()] if scenario.weak_champion else [base_batch(), scenario.batch()]
        folder = write_source(self.folder / name / "source", *batches)
        script = (
            ["--misbehave", f'[{{"fault": "{scenario.misbehaviour}", "batch": 1}}]'] if scenario.misbehaviour else []
        )
        with running_source("--source", str(folder), *script) as source:
            yield source


def _loaded(deployment: Deployment, version: int) -> bundle.Bundle:
    with TemporaryDirectory() as folder:
        at = registry.fetch_version(deployment.tracking, deployment.ledger, version, Path(folder))
        return bundle.load(at / bundle.FOLDER)


def _step(deployment: Deployment, source: RunningSource, step: str, run: str) -> int:
    options = {"fetch": ["--force-train", "true" if run.endswith("trained") else "false"], "tune": ["--trials", TRIALS]}
    done = deployment.run(
        step, "--run-id", run, *options.get(step, []), APPRAISER_SOURCE_URL=source.url, APPRAISER_SOURCE_ID=SOURCE,
    )  # fmt: skip
    (deployment.folder / f"{step}.log").write_text(done.stdout + done.stderr)
    if done.returncode not in {DONE, 99, 100}:
        raise RuntimeError(f"{run}: {step} ended with {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.returncode


def _newest(deployment: Deployment, query: str) -> Mapping[str, Any]:
    with deployment.ledger.connect() as connection:
        return dict(connection.execute(text(f"{query} LIMIT 1")).mappings().one())


def _rows(deployment: Deployment, database: str, query: str) -> list[tuple[Any, ...]]:
    with deployment.databases.connect(database) as connection:
        return connection.execute(query.encode()).fetchall()


def _on_both_sides(deployment: Deployment) -> int:
    """Return how many houses have listings in the test part and in the train part: none may."""
    split = "SELECT 1 FROM listings GROUP BY property_id HAVING min(bucket) < 20 AND max(bucket) >= 20"
    query = f"SELECT count(*) FROM ({split}) AS houses"  # noqa: S608
    return int(_rows(deployment, "clean", query)[0][0])


@contextmanager
def laboratory(*, weak: bool = False) -> Iterator[Laboratory]:
    """Start a laboratory and train its champion; with `weak`, one of poor parameters."""
    with TemporaryDirectory(prefix="laboratory-") as name, postgres() as server:
        folder = Path(name)
        with serving(folder, server, "mlflow") as mlflow:
            yield prepared(server, mlflow, folder, weak=weak)


def prepared(server: Server, mlflow: MlflowServer, folder: Path, *, weak: bool = False) -> Laboratory:
    """Return a laboratory on running servers, its champion trained by the steps on the base batch."""
    base = copy_databases(server, {name: name for name in ("raw", "clean", "ledger", "optuna")})
    deployment = Deployment(base, mlflow, folder / "base")
    deployment.folder.mkdir(parents=True)
    source = write_source(deployment.folder / "source", base_batch())
    with running_source("--source", str(source)) as running:
        for step in ORDER:
            code = _step(deployment, running, step, "lab/base")
            if step == "tune" and weak:
                _spoil(server, base)
            if code != DONE:
                raise RuntimeError(f"the base batch was not promoted: {step} ended with {code}")
    champion = registry.champion(deployment.tracking)
    deployment.close()
    assert champion is not None
    return Laboratory(server, mlflow, folder, base, champion)


def _spoil(server: Server, base: Databases) -> None:
    """Give the sweep's winner poor parameters, behind the back of the pipeline: as superuser, past the triggers."""
    changed = "jsonb_set(jsonb_set(summary, '{parameters}', summary->'parameters' || %s::jsonb), '{trees}', %s::jsonb)"
    statement = f"UPDATE completions SET summary = {changed} WHERE step = 'tune'"  # noqa: S608  # our own text
    with server.connect(SUPERUSER, base.names["ledger"]) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(statement.encode(), (json.dumps(POOR), json.dumps(POOR_TREES)))
