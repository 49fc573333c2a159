"""How a step starts and ends: arguments, settings, the claim, adoption, the completion row, the exit code.

A step is a `Step`: `perform` does the work and says what it left behind as a digest; `recheck` computes that digest
again from what is there now. With the two, a step that is run again, or taken over by a later attempt, knows whether
anything is left to do. Exit codes: 0 done, 99 nothing to do, 100 failed for good, 75 fenced, 143 told to stop, 1 try
again.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from sqlalchemy import Engine

from steps.common import logs, settings
from steps.common.alerts import raise_alert
from steps.common.logs import committed, log
from steps.common.settings import SettingRefused, Settings
from steps.common.stopping import STOPPED, Stopped, stoppable
from steps.common.store import ledger
from steps.common.store.connection import Unreachable, advisory_lock, open_engine
from steps.common.store.ledger import Alert, Claim, Completion, Fenced, UnknownRun, Verdict
from steps.common.store.upgrading import UpgradeMissing, wait_for_upgrades

DONE: Final = 0
RETRY: Final = 1
FENCED: Final = 75
NOTHING_TO_DO: Final = 99
FAILED: Final = 100

ORDER: Final = ("fetch", "validate", "clean", "tune", "train", "evaluate", "promote")
# Two processes of one step of one run take turns; the second finds the work done. Longer than any step may take.
_TURN_SECONDS: Final = 7200.0


class NothingToDo(Exception):
    """The step ended early and rightly so; Airflow shows it, and the steps after it, as skipped."""


class Refused(Exception):
    """What the step was given can never be right; trying again would change nothing."""


class PreviousStepMissing(Refused):
    """The step before this one has not completed under this run's claim."""


@dataclass(frozen=True)
class Result:
    """What a step did: the digest of its effect, its figures, the lines of its closing block, its decision."""

    digest: str
    summary: dict[str, Any]
    lines: Sequence[tuple[str, object]] = ()
    exit_code: int = DONE
    verdict: Verdict | None = None
    outcome: str | None = None
    alerts: Sequence[Alert] = ()


# The ledger first, since every step asks it first: where it is away, that is what is said.
_DATABASES: Final = ("ledger", "raw", "clean", "optuna")


@dataclass
class Job:
    """One step of one run at work: its options, settings, databases (opened at first use) and claim."""

    step: str
    options: argparse.Namespace
    settings: Settings
    claim: Claim = field(init=False)

    @property
    def run_id(self) -> str:
        """Return Airflow's run id, the only key that travels between steps."""
        return str(self.options.run_id)

    @property
    def source_id(self) -> str:
        """Return the identity of the source this deployment serves."""
        return self.settings.needed("source_id")

    @cached_property
    def ledger(self) -> Engine:
        """Return the ledger's engine."""
        return open_engine(self.settings, "ledger_url")

    @cached_property
    def raw(self) -> Engine:
        """Return RAW's engine."""
        return open_engine(self.settings, "raw_url")

    @cached_property
    def clean(self) -> Engine:
        """Return CLEAN's engine."""
        return open_engine(self.settings, "clean_url")

    @cached_property
    def optuna(self) -> Engine:
        """Return the engine of Optuna's database; Optuna itself has another."""
        return open_engine(self.settings, "optuna_url")

    def databases(self) -> dict[str, Engine]:
        """Return the databases there is a setting for, by name."""
        return {name: getattr(self, name) for name in _DATABASES if getattr(self.settings, f"{name}_url") is not None}

    def close(self) -> None:
        """Close every connection this job opened."""
        for name in _DATABASES:
            if (engine := self.__dict__.get(name)) is not None:
                engine.dispose()

    def completed(self, step: str) -> Completion:
        """Return another step's completion under this claim; raise PreviousStepMissing if there is none."""
        with self.ledger.connect() as connection:
            done = ledger.completion(connection, self.claim.claim_id, step)
        if done is None:
            raise PreviousStepMissing(f"{step} has not completed for run {self.run_id}; {self.step} needs it")
        return done


@dataclass(frozen=True)
class Step:
    """A step of the pipeline.

    `perform(job)` does the work. `recheck(job, completion)` returns the digest of what is there now of the work a
    completion speaks of; anything but that completion's digest means it has to be done again. `arguments` adds
    options of the step's own. `errands` are what else the module does for an operator, by the option that asks for
    it (`rollback` for `--rollback`): they need no run, have no claim, and return the exit code. `claim(job)` is how
    a run comes by its claim, where it is not there yet: fetch, the first step, makes it. `adopt(job, completion,
    worked)` tells MLflow of work taken over from the claim `worked`, before the completion row, perhaps twice.
    """

    name: str
    perform: Callable[[Job], Result]
    recheck: Callable[[Job, Completion], str | None]
    arguments: Callable[[argparse.ArgumentParser], None] | None = None
    errands: Mapping[str, Callable[[Job], int]] = field(default_factory=dict)
    claim: Callable[[Job], Claim] | None = None
    adopt: Callable[[Job, Completion, Claim], None] | None = None

    @property
    def previous(self) -> str | None:
        """Return the name of the step before this one."""
        position = ORDER.index(self.name)
        return ORDER[position - 1] if position else None


def main(step: Step, arguments: Sequence[str] | None = None, description: str | None = None) -> int:
    """Run a step from the command line and the environment; return its exit code."""
    parser = argparse.ArgumentParser(
        prog=f"python -m steps.{step.name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run-id", help="Airflow's run id")
    if step.arguments:
        step.arguments(parser)
    options = parser.parse_args(arguments)
    errand = next((todo for option, todo in step.errands.items() if getattr(options, option)), None)
    if errand is None and options.run_id is None:
        parser.error("the following arguments are required: --run-id")
    logs.start(step.name)

    def body() -> int:
        with closing(Job(step.name, options, settings.read(os.environ))) as job:
            wait_for_upgrades(job.databases(), job.settings.upgrade_seconds)
            return errand(job) if errand else run(step, job)

    with stoppable():
        return guarded(body, step.name)


def guarded(body: Callable[[], int], name: str) -> int:
    """Return the body's exit code, with every known ending as one sentence and its own code."""
    try:
        return body()
    except (Exception, Stopped) as ending:  # noqa: BLE001  # what is not in the table is told whole, then tried again
        for kinds, how, exit_code in _ENDINGS:
            if isinstance(ending, kinds):
                return _ended(name, how, ending, exit_code)
        log().exception("failed", kind=type(ending).__name__)
        return _ended(name, "failed, will be tried again", ending, RETRY)


_ENDINGS: Final[tuple[tuple[tuple[type[BaseException], ...], str, int], ...]] = (
    ((NothingToDo,), "nothing to do", NOTHING_TO_DO),
    ((Fenced,), "fenced", FENCED),
    ((Refused, UnknownRun, SettingRefused), "failed for good", FAILED),
    ((Unreachable, UpgradeMissing, TimeoutError), "failed, will be tried again", RETRY),
    ((Stopped,), "stopped, will be tried again", STOPPED),
)


def _ended(name: str, how: str, why: BaseException, exit_code: int) -> int:
    level = log().info if exit_code == NOTHING_TO_DO else log().error
    level(how.replace(" ", "_").replace(",", ""), kind=type(why).__name__, exit_code=exit_code)
    logs.close(f"{name} · {how}", [("why", f"{type(why).__name__}: {why}")], f"exit code {exit_code}")
    return exit_code


def run(step: Step, job: Job) -> int:
    """Do a step's work under its run's claim unless it is done already; return the exit code."""
    ledger.open_ledger(job.ledger, job.source_id)
    # From before the claim: the first step does its work to make one.
    began = time.monotonic()
    job.claim = step.claim(job) if step.claim else _claim_of_run(job)
    with advisory_lock(job.ledger, f"{step.name}/{job.claim.claim_id}", _TURN_SECONDS):
        return _run_claimed(step, job, began)


def _claim_of_run(job: Job) -> Claim:
    with job.ledger.connect() as connection:
        claim = ledger.claim_of_run(connection, job.run_id)
    if claim is None:
        raise UnknownRun(f"run {job.run_id} has no claim in the ledger: fetch has not completed for it")
    return claim


def _run_claimed(step: Step, job: Job, began: float) -> int:
    if step.previous and job.completed(step.previous).exit_code:
        raise NothingToDo(f"{step.previous} ended the run early; its log and the ledger say why")
    known = done_before(step, job)
    if known is None:
        with job.ledger.connect() as connection:
            ledger.refuse_if_fenced(connection, job.claim)
        known = adopted(step, job)
    if known is not None:
        how = "adopted from an earlier attempt" if known.adopted_from else "done before"
        log().info("nothing_repeated", how=how, digest=known.digest)
        logs.close(title(job), [("nothing repeated", f"this step was {how}")], f"exit code {known.exit_code}")
        return known.exit_code
    result = step.perform(job)
    complete(job, result, time.monotonic() - began)
    logs.close(title(job), result.lines, f"exit code {result.exit_code}")
    return result.exit_code


def title(job: Job) -> str:
    """Return the first line of a step's closing block."""
    claim = job.claim
    return f"{job.step} · batch {claim.batch_number} · attempt {claim.attempt} · run {claim.run_id}"


def done_before(step: Step, job: Job) -> Completion | None:
    """Return this step's completion under this claim if what it left behind is still there."""
    with job.ledger.connect() as connection:
        known = ledger.completion(connection, job.claim.claim_id, step.name)
    if known is None:
        return None
    if step.recheck(job, known) == known.digest:
        return known
    log().warning("effect_gone", step=step.name, digest=known.digest)
    return None


def adopted(step: Step, job: Job) -> Completion | None:
    """Take over this step's work from the attempt before, if that was interrupted and its work is still valid.

    Only while every step before this one was taken over too: work that rests on something done anew is done anew.
    """
    if step.previous and job.completed(step.previous).adopted_from is None:
        return None
    with job.ledger.connect() as connection:
        earlier = {one.claim_id: one for one in ledger.earlier_attempts(connection, job.claim)}
        found = [done for one in earlier if (done := ledger.completion(connection, one, step.name)) is not None]
    # A step that ended its attempt early is judged again: STALE is to be decided anew, not inherited.
    known = next((known for known in found if known.exit_code == DONE), None)
    if known is None or step.recheck(job, known) != known.digest:
        return None
    source = known.adopted_from or known.claim_id
    if step.adopt:
        step.adopt(job, known, earlier[source])
    mine = Completion(job.claim.claim_id, step.name, known.exit_code, known.digest, known.summary, source, 0.0)
    with job.ledger.begin() as connection:
        ledger.refuse_if_fenced(connection, job.claim)
        ledger.append_completion(connection, mine, None, None)
    committed("completion")
    return mine


def complete(job: Job, result: Result, seconds: float) -> None:
    """Commit a step's completion row, verdict, outcome and alerts together, unless a later attempt took over."""
    done = Completion(
        job.claim.claim_id, job.step, result.exit_code, result.digest, result.summary, None, round(seconds, 3)
    )
    with job.ledger.begin() as connection:
        ledger.refuse_if_fenced(connection, job.claim)
        ledger.append_completion(connection, done, result.verdict, result.outcome)
        for alert in result.alerts:
            raise_alert(connection, alert, job.run_id, job.claim.batch_number)
    committed("completion")
