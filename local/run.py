"""Takes the batches of the source through Airflow, one run of the DAG each, and shows what the ledger says of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import httpx
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import OperationalError

from local.airflow import Airflow
from local.airflow_client import RUN_ENDED, TASK_ENDED, AirflowClient, AirflowRefused, Task
from local.history import ABANDONED, BatchHistory, History, read_batch, read_history
from local.pod_client import last_words
from local.postgres import Server
from local.progress import Progress, main_reason
from local.settings import Settings
from steps.common.step import ORDER
from steps.common.store import ledger

_POLL_SECONDS: Final = 1.0
_SILENT_SECONDS: Final = 180.0
# A batch is abandoned after its third attempt; runs that end without even that find none, and more would not either.
_RUNS_WITHOUT_END: Final = 4
_LAST_WORDS: Final = 8
# Figures of a completion worth a line, in this order.
_FIGURES: Final = ("rows", "kept", "refused", "trials", "version")


class PartSilent(Exception):
    """A part has given no useful answer for minutes although its processes run; the sentence names it."""


class System(Protocol):
    """The parts this needs, and `check`, which raises when one of them has ended by itself."""

    airflow: Airflow
    postgres: Server

    def check(self) -> None: ...  # noqa: D102  the class says it


class Run:
    """One `make run`: from where the ledger stands to the source's end, or to as many batches as were asked for."""

    def __init__(self, settings: Settings, system: System, progress: Progress) -> None:
        self._settings = settings
        self._system = system
        self._progress = progress
        self._unexpected: list[str] = []
        self._without_end = 0
        url = system.postgres.url("serving", "ledger")
        self._engine = create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 5})

    def finish(self) -> bool:
        """Take every wanted batch to its end, show the table and write summary.json; return whether all went well."""
        with self._system.airflow.client() as client:
            for run in self._patiently(client.unfinished):
                self._go_on(client, run)
            while not self._enough() and self._one_more(client):
                self._write_summary()
        history = self._write_summary()
        self._progress.show_table(history)
        for sentence in self._unexpected:
            self._progress.fail(sentence)
        self._engine.dispose()
        return not self._unexpected and all(batch.outcome not in (None, ABANDONED) for batch in history.batches)

    def _enough(self) -> bool:
        wanted = self._settings.batches
        return wanted is not None and self._history().finished >= wanted

    def _go_on(self, client: AirflowClient, run: str) -> None:
        """Follow a run that the last stop has left unfinished to its end.

        What it was at starts again with all its tries: a kill costs a task two, one for the process that vanished and
        one for its pod, and a third kill would end a batch's attempt that nothing is wrong with.
        """
        tasks = self._patiently(lambda: client.tasks(run))
        interrupted = [task.step for task in tasks if task.tries > 0 and task.state not in TASK_ENDED]
        self._progress.say(f"going on with {run}{f' from {interrupted[0]}' if interrupted else ''}")
        if interrupted:
            self._patiently(lambda: client.clear(run, interrupted))
        self._follow(client, run)

    def _one_more(self, client: AirflowClient) -> bool:
        """Run the DAG once; return whether it makes sense to run it again."""
        before = self._history()
        run = self._trigger(client)
        tasks = self._follow(client, run)
        ended = self._tell_abandoned(before)
        if self._batch(run) is None and tasks["fetch"].state == "skipped":
            self._progress.say("the source is at its end")
            return False
        # A run without a batch counts twice: Airflow has tried fetch several times, and a source that gives nothing is
        # not to be asked for hours.
        fruitless = 2 if self._batch(run) is None else 1
        self._without_end = 0 if ended > before.finished else self._without_end + fruitless
        if self._without_end >= _RUNS_WITHOUT_END:
            self._unexpected.append("run after run brought no batch to its end; no more are started")
        return self._without_end < _RUNS_WITHOUT_END

    def _tell_abandoned(self, before: History) -> int:
        """Name the batches that were given up since, and return how many batches have ended by now."""
        known = {batch.claim.batch_number for batch in before.batches if batch.outcome == ABANDONED}
        after = self._history()
        for batch in after.batches:
            if batch.outcome == ABANDONED and batch.claim.batch_number not in known:
                number, attempts = batch.claim.batch_number, batch.claim.attempt
                self._unexpected.append(f"batch {number} is ABANDONED after {attempts} attempts")
                self._progress.say(self._unexpected[-1])
        return after.finished

    def _trigger(self, client: AirflowClient) -> str:
        try:
            return client.trigger(trials=self._settings.trials)
        except httpx.TransportError:
            # The call may have arrived all the same, and a second run would only wait for the first.
            waiting = self._patiently(client.unfinished)
            return waiting[0] if waiting else client.trigger(trials=self._settings.trials)

    def _follow(self, client: AirflowClient, run: str) -> Mapping[str, Task]:
        """Show a run's steps until it has ended; return its tasks by step."""
        shown: set[str] = set()
        while True:
            ended = self._patiently(lambda: client.state(run)) in RUN_ENDED
            tasks = {task.step: task for task in self._patiently(lambda: client.tasks(run))}
            for task in (tasks[step] for step in ORDER if step in tasks):
                if task.state in TASK_ENDED and task.step not in shown:
                    shown.add(task.step)
                    self._show(run, task)
                elif task.started and task.state not in TASK_ENDED:
                    doing = "waits to be tried again" if task.state == "up_for_retry" else "works"
                    self._progress.status(f"{self._title(run)} · {task.step} {doing}, {_age(task):.0f} s")
            if ended:
                return tasks
            time.sleep(_POLL_SECONDS)

    def _show(self, run: str, task: Task) -> None:
        """Write a step's line, and remember what nobody expected of it."""
        batch = self._batch(run)
        line = f"{self._title(run)} · {task.step:9}"
        judged = {"validate": batch.validate, "promote": batch.promote}.get(task.step) if batch else None
        if task.state == "failed" and (judged is None or judged.verdict != "QUARANTINE"):
            words = last_words(self._system.airflow.kubeconfig, task.step, _LAST_WORDS)
            said = "".join(f"\n  | {word}" for word in words)
            sentence = f"{line.strip()} failed in its {_nth(task.tries)} try; its pod's last words:{said}"
            self._unexpected.append(sentence)
            self._progress.say(sentence)
            return
        if task.state != "success" and (batch is None or task.step not in batch.completions):
            # Not run at all, because of a step before it; or fetch, which found nothing and so has no batch.
            return
        figures = self._figures(batch, task.step) if batch else ""
        again = f" ({_nth(task.tries)} try)" if task.tries > 1 else ""
        verdict = f"{judged.verdict}  {main_reason(judged.reasons)}" if judged else figures
        self._progress.say(f"{line} {_age(task):6.1f} s  {verdict}{again}")

    def _figures(self, batch: BatchHistory, step: str) -> str:
        done = batch.completions.get(step)
        found = done.summary if done else {}
        words = [f"{name} {found[name]:,}" for name in _FIGURES if isinstance(found.get(name), int)]
        if step == "evaluate" and batch.evidence:
            champion = batch.evidence.champion
            words += [f"RMSE {batch.evidence.candidate.metrics.rmse:,.0f}"]
            words += [f"champion {champion.metrics.rmse:,.0f}"] if champion else ["no champion"]
        return ", ".join(words)

    def _title(self, run: str) -> str:
        batch = self._batch(run)
        return f"batch {batch.claim.batch_number}" if batch else "next batch"

    def _batch(self, run: str) -> BatchHistory | None:
        """Return the batch a run has claimed, if it has claimed one yet."""

        def read(connection: Connection) -> BatchHistory | None:
            claim = ledger.claim_of_run(connection, run)
            return read_batch(connection, claim.batch_number) if claim else None

        return self._read(read)

    def _history(self) -> History:
        return self._read(read_history)

    def _read[T](self, read: Callable[[Connection], T]) -> T:
        def once() -> T:
            with self._engine.connect() as connection:
                return read(connection)

        return self._patiently(once)

    def _write_summary(self) -> History:
        history = self._history()
        history.write(self._settings.home / "summary.json")
        return history

    def _patiently[T](self, call: Callable[[], T]) -> T:
        """Ask until there is an answer: on a busy machine, or while a part recovers, one failure means nothing."""
        deadline = time.monotonic() + _SILENT_SECONDS
        while True:
            self._system.check()
            try:
                return call()
            except (httpx.TransportError, AirflowRefused, OperationalError) as error:
                if time.monotonic() > deadline:
                    place = f"PostgreSQL at 127.0.0.1:{self._system.postgres.port}"
                    who = place if isinstance(error, OperationalError) else f"Airflow at {self._system.airflow.url}"
                    what = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no answer'}"
                    raise PartSilent(f"{who} has not answered for {_SILENT_SECONDS:.0f} s ({what})") from error
                time.sleep(_POLL_SECONDS)


def _age(task: Task) -> float:
    """Return how long a task took, or has been at work, in seconds."""
    if task.started is None:
        return 0.0
    until = task.ended.timestamp() if task.ended else time.time()
    return until - task.started.timestamp()


def _nth(number: int) -> str:
    return {1: "1st", 2: "2nd", 3: "3rd"}.get(number, f"{number}th")
