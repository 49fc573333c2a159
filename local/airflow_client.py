"""What the local system asks of Airflow's API: is it well, run the DAG, how is a run doing, clear it.

Every call has a time-out. The token is asked for at the first call and again when Airflow no longer takes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Self

import httpx

DAG: Final = "training"
_SECONDS: Final = 30.0
# Final states of a run, and of a task that will not be tried again.
RUN_ENDED: Final = frozenset({"success", "failed"})
TASK_ENDED: Final = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


class DagRefused(Exception):
    """Airflow could not load the DAG; the sentence is the DAG's own."""


class AirflowRefused(Exception):
    """Airflow answered a call with an error; the sentence names call, status and answer."""


@dataclass(frozen=True)
class Task:
    """One task of a run; `state` is None while it waits for its turn, `pid` its process once it has one."""

    step: str
    state: str | None
    tries: int
    started: datetime | None
    ended: datetime | None
    pid: int | None = None


class AirflowClient:
    """Airflow's API at an address, for one DAG and one user who may do everything (simple auth, all admins)."""

    def __init__(self, url: str, dag: str = DAG, timeout: float = _SECONDS) -> None:
        self._dag = f"/api/v2/dags/{dag}"
        self.url = url
        self._http = httpx.Client(base_url=url, timeout=timeout)
        self._token: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def healthy(self, part: str) -> bool:
        """Tell whether a part of Airflow (metadatabase, scheduler, dag_processor, triggerer) says that it is well."""
        try:
            answer = self._http.get("/api/v2/monitor/health")
        except httpx.TransportError:
            return False
        if answer.status_code != HTTPStatus.OK:
            return False
        return bool((answer.json().get(part) or {}).get("status") == "healthy")

    def executes(self) -> bool:
        """Tell whether tasks could report to the API server; the first to ask makes it build that part, in seconds."""
        try:
            return self._http.get("/execution/health").is_success
        except httpx.TransportError:
            return False

    def loaded(self, since: datetime) -> bool:
        """Tell whether the DAG was loaded since then; raise DagRefused where Airflow could not import it.

        What was found before, and its errors, stay in the database over a restart and mean nothing.
        """
        try:
            answer = self._call("GET", f"{self._dag}/details", accept=(HTTPStatus.OK, HTTPStatus.NOT_FOUND))
            errors = self._call("GET", "/api/v2/importErrors").json()["import_errors"]
        except httpx.TransportError:
            return False
        if refused := [error for error in errors if datetime.fromisoformat(error["timestamp"]) >= since]:
            raise DagRefused("; ".join(f"{error['filename']}: {error['stack_trace']}" for error in refused))
        found: dict[str, Any] = answer.json() if answer.status_code == HTTPStatus.OK else {"is_stale": True}
        return not found["is_stale"] and datetime.fromisoformat(found["last_parsed_time"]) >= since

    def trigger(self, **parameters: object) -> str:
        """Start a run with the DAG's parameters and return its id; raise AirflowRefused where a bound is not kept."""
        body = {"logical_date": None, "conf": parameters}
        return str(self._call("POST", f"{self._dag}/dagRuns", body).json()["dag_run_id"])

    def state(self, run: str) -> str:
        """Return how a run is doing: queued, running, success or failed."""
        return str(self._call("GET", f"{self._dag}/dagRuns/{run}").json()["state"])

    def tasks(self, run: str) -> list[Task]:
        """Return the tasks of a run in the order they were, or are to be, started."""
        answer = self._call("GET", f"{self._dag}/dagRuns/{run}/taskInstances").json()
        tasks = [_task(found) for found in answer["task_instances"]]
        return sorted(tasks, key=lambda task: (task.started is None, task.started and task.started.timestamp()))

    def unfinished(self) -> list[str]:
        """Return the ids of the runs that wait or work, the oldest first."""
        query = f"{self._dag}/dagRuns?state=queued&state=running&order_by=run_after"
        return [str(found["dag_run_id"]) for found in self._call("GET", query).json()["dag_runs"]]

    def log(self, run: str, step: str, attempt: int) -> str:
        """Return the log of one attempt of a task, an event or a part of an error a line."""
        place = f"{self._dag}/dagRuns/{run}/taskInstances/{step}/logs/{attempt}?full_content=true"
        lines: list[str] = []
        for event in self._call("GET", place).json()["content"]:
            lines.append(str(event["event"]))
            lines += [f"{error['exc_type']}: {error['exc_value']}" for error in event.get("error_detail") or ()]
        return "\n".join(lines)

    def clear(self, run: str, steps: Sequence[str] = ()) -> list[str]:
        """Have tasks of a run start again, all of them if none is named; return the steps that will."""
        body = {"dag_run_id": run, "dry_run": False, "only_failed": False, "reset_dag_runs": True}
        named = {"task_ids": list(steps)} if steps else {}
        answer = self._call("POST", f"{self._dag}/clearTaskInstances", {**body, **named}).json()
        return [str(found["task_id"]) for found in answer["task_instances"]]

    def _call(self, method: str, path: str, body: Any = None, accept: Sequence[int] = ()) -> httpx.Response:
        for _ in range(2):
            answer = self._http.request(method, path, json=body, headers={"Authorization": f"Bearer {self._login()}"})
            if answer.status_code != HTTPStatus.UNAUTHORIZED:
                break
            self._token = None
        if answer.is_success or answer.status_code in accept:
            return answer
        raise AirflowRefused(f"{method} {path}: {answer.status_code} {answer.text}")

    def _login(self) -> str:
        if self._token is None:
            answer = self._http.get("/auth/token")
            if not answer.is_success:
                raise AirflowRefused(f"GET /auth/token: {answer.status_code} {answer.text}")
            self._token = answer.json()["access_token"]
        return self._token


def _task(found: dict[str, Any]) -> Task:
    started, ended = (found[edge] and datetime.fromisoformat(found[edge]) for edge in ("start_date", "end_date"))
    return Task(found["task_id"], found["state"], found["try_number"], started, ended, found["pid"])
