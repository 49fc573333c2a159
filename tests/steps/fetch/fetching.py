"""fetch at work in tests: empty databases, a group of the real source of its own, and what a run left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from psycopg import sql

from steps.common.step import main
from steps.fetch.__main__ import FETCH
from tests.local.source_server import RunningSource
from tests.servers import ROOT, Databases

SOURCE_ID = "test source"
PROGRAM = ROOT / ".envs" / "fetch" / "bin" / "python"
BATCHES = 6


@dataclass
class Fetching:
    """One deployment of fetch; `url` may lead to another source than the real one."""

    databases: Databases
    monkeypatch: pytest.MonkeyPatch
    source: RunningSource
    group: int
    settings: dict[str, str] = field(default_factory=dict)

    def environment(self, **settings: str) -> dict[str, str]:
        """Return the variables fetch is given, each setting by its name without the prefix."""
        given = {
            "source_id": SOURCE_ID, "source_url": self.source.url, "source_group": str(self.group),
            "answer_seconds": "60", **self.settings, **settings,
        }  # fmt: skip
        urls = {name: value for name, value in self.databases.settings().items() if "RAW" in name or "LEDGER" in name}
        return {**urls, **{f"APPRAISER_{name.upper()}": value for name, value in given.items()}}

    def run(self, run_id: str, *options: str, **settings: str) -> int:
        """Run fetch in this process and return its exit code."""
        for name, value in self.environment(**settings).items():
            self.monkeypatch.setenv(name, value)
        return main(FETCH, ["--run-id", run_id, *options])

    def start(self, run_id: str, *, killed_at: str | None = None) -> subprocess.Popen[str]:
        """Start fetch as its image would, or so that it is killed at a commit boundary."""
        program = ["-m", "tests.killed_at", killed_at, "steps.fetch"] if killed_at else ["-m", "steps.fetch"]
        return subprocess.Popen(
            [str(PROGRAM), *program, "--run-id", run_id],
            env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), **self.environment()},
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def batch(self, run_id: str, *, outcome: str | None = "HOLD", **settings: str) -> None:
        """Take the next batch in and give its attempt an outcome, or leave it unfinished."""
        assert self.run(run_id, **settings) == 0
        if outcome:
            self.finish(run_id, outcome)

    def finish(self, run_id: str, outcome: str) -> None:
        """End a run's attempt, as a later step would."""
        with self.databases.connect("ledger") as connection:
            connection.execute(
                "INSERT INTO outcomes (claim_id, outcome) SELECT claim_id, %s FROM claims WHERE run_id = %s",
                (outcome, run_id),
            )

    def misbehave(self, *misbehaviours: dict[str, Any]) -> None:
        """Tell the source what to do wrong from now on."""
        request = urllib.request.Request(  # noqa: S310  # the source's own address
            f"{self.source.url}/misbehave", json.dumps(misbehaviours).encode(), {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=10).read()  # noqa: S310

    def set_back(self) -> None:
        """Set the group's counter back, as somebody else might."""
        url = f"{self.source.url}/restart_data_generation?group_number={self.group}"
        urllib.request.urlopen(url, timeout=10).read()  # noqa: S310

    def take_away(self, batches: int) -> None:
        """Ask for some batches, as somebody else might; nobody keeps them."""
        for _ in range(batches):
            url = f"{self.source.url}/data?group_number={self.group}"
            urllib.request.urlopen(url, timeout=60).read()  # noqa: S310

    def asked(self) -> int:
        """Return how many requests were written down."""
        return len([event for event in self.events() if event == "REQUEST_SENT"])

    def query(self, database: str, query: str) -> list[tuple[Any, ...]]:
        """Return what a database says."""
        with self.databases.connect(database) as connection:
            return connection.execute(sql.SQL(query)).fetchall()

    def events(self) -> list[str]:
        """Return what became of all requests, in order."""
        return [event for (event,) in self.query("raw", "SELECT event FROM fetch_attempts ORDER BY attempt_id")]

    def refusals(self) -> list[tuple[Any, ...]]:
        """Return event, reason, sha and length of the head of every answer that was kept as evidence."""
        return self.query(
            "raw",
            "SELECT event, reason, body_sha, length(body_head) FROM fetch_attempts "
            "WHERE body_sha IS NOT NULL AND event NOT IN ('STORED', 'KNOWN') ORDER BY attempt_id",
        )

    def stored(self) -> dict[int, str]:
        """Return the batches of RAW with the sha of their content, after counting that all rows are there."""
        rows = self.query(
            "raw",
            "SELECT b.batch_number, b.content_sha, b.rows, count(l.row_number) FROM batches b "
            "LEFT JOIN listings l USING (source_id, batch_number) GROUP BY 1, 2, 3 ORDER BY 1",
        )
        assert [row[2] for row in rows] == [row[3] for row in rows]
        assert self.query("raw", "SELECT count(*) FROM listings")[0][0] == sum(row[2] for row in rows)
        return {row[0]: row[1] for row in rows}

    def alerts(self) -> list[str]:
        """Return the codes of all alerts."""
        return [code for (code,) in self.query("ledger", "SELECT code FROM alerts ORDER BY alert_id")]

    def state(self) -> dict[str, Any]:
        """Return all that has to be the same whenever fetch was killed in between."""
        queries = {
            "runs": "SELECT run_id, force_train FROM runs ORDER BY 1",
            "claims": "SELECT batch_number, attempt, run_id, content_sha, force_train FROM claims ORDER BY claim_id",
            "completions": "SELECT claim_id, step, exit_code, digest, adopted_from FROM completions ORDER BY 1, 2",
            "outcomes": "SELECT claim_id, outcome FROM outcomes ORDER BY 1",
            "idle": "SELECT run_id, reason FROM idle_runs ORDER BY 1",
            "alerts": "SELECT code, message, run_id, batch_number FROM alerts ORDER BY 1, 3, 4",
        }
        return {"stored": self.stored(), **{name: self.query("ledger", query) for name, query in queries.items()}}


def output(process: subprocess.Popen[str]) -> str:
    """Return what a process printed until its end, on the terminal of the test too."""
    text, _ = process.communicate(timeout=120)
    sys.stdout.write(text)
    return text


def codes(processes: Sequence[subprocess.Popen[str]]) -> list[int]:
    """Return the exit codes of processes that run at once."""
    for process in processes:
        output(process)
    return [process.returncode for process in processes]
