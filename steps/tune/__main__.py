"""Search for better parameters: trials by cross-validation on the train part, kept in a study that outlives a kill.

Ends early, as skipped, when validate's verdict was SKIP. What is tried first is the defaults and the champion's
parameters; what comes out is never worse than the defaults on these folds. `--trials` is the total: a sweep
that was killed goes on where it was. Every trial is an MLflow run below the sweep's, which lies below the pipeline
run that began it. The test part is not read.

Commit boundaries: study, trial, trial_run, completion.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from optuna import Study
from optuna.trial import FrozenTrial

from steps.common import dataset, registry
from steps.common.logs import committed, log
from steps.common.step import NOTHING_TO_DO, Job, Refused, Result, Step, main
from steps.common.store import ledger, models
from steps.common.store.clean import Listings
from steps.common.store.connection import advisory_lock
from steps.common.store.ledger import Claim, Completion
from steps.common.tracking import Tracking, pipeline_run, tag, take_over
from steps.tune import tune
from steps.tune.baselines import BASELINES, rmse
from steps.tune.folds import Fold, TooFewHouses, make_folds, sample
from steps.tune.search_space import SEARCH_SPACE
from steps.tune.study import find_study, open_study, study_name
from steps.tune.trial_runs import Children, log_baseline, sweep_run, trial_line

_TURN_SECONDS: Final = 7200.0
_SKIPPED: Final = "skipped"


class NothingToLearnFrom(Refused):
    """The train part is too small for a cross-validation."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add tune's own option, with the bounds of the setting it overrides."""
    parser.add_argument(
        "--trials", type=int, choices=range(2, 501), metavar="N", help="trials in all, 2 to 500; else APPRAISER_TRIALS"
    )


def perform(job: Job) -> Result:
    """Run or finish the sweep of this run's data set, unless validate said SKIP."""
    with job.ledger.connect() as connection:
        judged = ledger.verdict(connection, job.claim.claim_id, "validate")
    if judged is not None and judged.verdict == "SKIP":
        why = " ".join(str(reason["sentence"]) for reason in judged.reasons)
        return Result(_SKIPPED, {}, [("skipped", f"validate said SKIP. {why}")], exit_code=NOTHING_TO_DO)
    tracking = Tracking(job.settings)
    frozen = dataset.frozen_list(job)
    champion = registry.incumbent(tracking, job.ledger)
    name = study_name(frozen.fingerprint, champion)
    run = pipeline_run(tracking, job.claim)
    below = sweep_run(tracking, run, name)
    # Two runs may share a study. Whoever holds this lock runs its trials, so a trial left running is a dead one's.
    with advisory_lock(job.ledger, f"study/{name}", _TURN_SECONDS):
        study = open_study(job.settings, name)
        train = dataset.read_train(job.clean, frozen)
        folds = _folds(train, job.settings.threads)
        baselines = {kind: rmse(model, folds, job.settings.threads) for kind, (model, _) in BASELINES.items()}
        for kind, error in baselines.items():
            log_baseline(tracking, below, kind, error, BASELINES[kind][1])
        _run_trials(job, study, folds, Children(tracking, below), champion)
    choice = tune.choose(study)
    summary = {
        "study": name, "search_space": SEARCH_SPACE, "champion_version": champion, "rows": len(train),
        "sampled_rows": sum(len(fold.held_out) for fold in folds), "baselines": baselines, **_figures(study, choice),
    }  # fmt: skip
    tag(tracking, below, {"study": name, "champion": champion or "none", "best_trial": choice.trial})
    tracking.set_terminated(below, "FINISHED")
    _tell(tracking, run, summary)
    return Result(tune.digest(name, choice), summary, _lines(summary))


def _tell(tracking: Tracking, run: str, summary: Mapping[str, Any]) -> None:
    below = sweep_run(tracking, run, str(summary["study"]))
    tag(tracking, run, {
        "tune.sweep_run": below, "tune.cv_rmse": summary["cv_rmse"], "tune.trials": summary["trials"],
    })  # fmt: skip


def _folds(train: Listings, threads: int) -> list[Fold]:
    try:
        return make_folds(sample(train), threads)
    except TooFewHouses as error:
        raise NothingToLearnFrom(str(error)) from error


def _run_trials(job: Job, study: Study, folds: Sequence[Fold], children: Children, champion: int | None) -> None:
    """Bring the study to its total, and MLflow to what the study holds."""
    dead = tune.fail_the_dead(study)
    if dead:
        log().warning("dead_trials_ended", trials=dead)
    tune.enqueue(study, tune.first_tries(_parameters(job, champion)))
    committed("study")
    for trial in study.get_trials(deepcopy=False):
        if trial.state.is_finished():
            children.write(trial_line(study.study_name, trial))

    def told(trial: FrozenTrial) -> None:
        committed("trial")
        line = trial_line(study.study_name, trial)
        children.write(line)
        committed("trial_run")
        figures = {name: round(value, 1) for name, value, _ in line.metrics if name != "trees"}
        log().info("trial", number=trial.number, state=trial.state.name, **figures, **trial.params)

    tune.sweep(study, tune.objective(folds, job.settings.threads), job.options.trials or job.settings.trials, told)


def _parameters(job: Job, champion: int | None) -> dict[str, Any] | None:
    """Return the parameters of a version as its card has them; None where the ledger knows no such version."""
    if champion is None:
        return None
    with job.ledger.connect() as connection:
        known = models.model_version(connection, champion)
    return dict(known.card["parameters"]) if known else None


def _figures(study: Study, choice: tune.Choice) -> dict[str, Any]:
    states = [trial.state.name for trial in study.get_trials(deepcopy=False)]
    defaults = tune.completed_from(study, tune.DEFAULT)
    return {
        "trials": {state: states.count(state) for state in ("COMPLETE", "PRUNED", "FAIL")},
        "trial": choice.trial,
        "parameters": dict(choice.parameters),
        "trees": choice.trees,
        "cv_rmse": choice.rmse,
        "defaults_cv_rmse": defaults.rmse if defaults else None,
        "milliseconds_per_1000_rows": choice.milliseconds,
    }


def _lines(summary: dict[str, Any]) -> list[tuple[str, object]]:
    counts = summary["trials"]
    others = ", ".join(f"{kind} {error:,.0f}" for kind, error in summary["baselines"].items())
    return [
        ("rows", f"{summary['rows']:,} to train on, {summary['sampled_rows']:,} in the folds"),
        ("trials", ", ".join(f"{count} {state.lower()}" for state, count in counts.items() if count)),
        ("best", f"trial {summary['trial']}: RMSE {summary['cv_rmse']:,.0f} dollars with {summary['trees']} trees"),
        ("beside it", f"defaults {summary['defaults_cv_rmse']:,.0f}, {others}"),
        ("speed", f"{summary['milliseconds_per_1000_rows']:.1f} ms for 1,000 rows on one thread"),
        ("parameters", ", ".join(f"{name} {value:.4g}" for name, value in summary["parameters"].items())),
    ]


def recheck(job: Job, completion: Completion) -> str | None:
    """Return the digest of the chosen trial as the study has it now."""
    if completion.exit_code == NOTHING_TO_DO:
        return _SKIPPED
    name = str(completion.summary["study"])
    study = find_study(job.settings, name)
    choice = tune.completed(study, int(completion.summary["trial"])) if study else None
    return tune.digest(name, choice) if choice else None


def adopt(job: Job, completion: Completion, worked: Claim) -> None:
    """Tell MLflow whose sweep this run takes over, and what came of it."""
    tracking = Tracking(job.settings)
    _tell(tracking, take_over(tracking, job.claim, worked, "tune"), completion.summary)


if __name__ == "__main__":
    sys.exit(main(Step("tune", perform, recheck, add_arguments, adopt=adopt), description=__doc__))
