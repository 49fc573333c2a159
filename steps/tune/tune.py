"""A sweep: tries parameters by cross-validation until so many trials are done, and chooses the best.

It minimises the gate's metric, RMSE in dollars. Trials that are behind after a fold are pruned, and models too slow to
serve are refused. A sweep that was interrupted goes on as if it had not been: what the sampler draws next follows from
the trials done so far alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Any, Final

import optuna
from optuna import Study, Trial
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState

from steps.common.booster import DEFAULTS, Parameters, milliseconds
from steps.tune.folds import Fold, Grown, grow, pooled
from steps.tune.search_space import SPACE, holds, suggest

# The most that 1,000 rows may take on one thread, in ms: an answer of the API has 9 for everything.
MOST_MILLISECONDS: Final = 5.0
# Trials before any is pruned; the defaults and the champion's parameters are among them.
UNPRUNED: Final = 4
_RANDOM: Final = 6
_ENDED: Final = (TrialState.COMPLETE, TrialState.PRUNED)

DEFAULT: Final = "defaults"
CHAMPION: Final = "champion"


@dataclass(frozen=True)
class Choice:
    """The best trial: its number, parameters, tree count (median over folds), RMSE in dollars, ms per 1,000 rows."""

    trial: int
    parameters: Mapping[str, Any]
    trees: int
    rmse: float
    milliseconds: float


def pruner() -> optuna.pruners.BasePruner:
    """Return the rule by which a trial is given up after a fold: behind the median of those before."""
    return optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED, n_warmup_steps=0)


def first_tries(champion: Parameters | None) -> dict[str, Parameters]:
    """Return what is tried before anything is drawn, by where it comes from; equal ones once."""
    tries: dict[str, Parameters] = {DEFAULT: DEFAULTS}
    if champion is not None and holds(champion) and dict(champion) != dict(DEFAULTS):
        tries[CHAMPION] = champion
    return tries


def enqueue(study: Study, tries: Mapping[str, Parameters]) -> None:
    """Put tries in the queue that no living or finished trial is of.

    Not Optuna's `skip_if_exists`: to it a trial whose process was killed exists too, and the defaults would be lost.
    """
    there = {
        trial.user_attrs.get("origin") for trial in study.get_trials(deepcopy=False) if trial.state != TrialState.FAIL
    }
    for origin, parameters in tries.items():
        if origin not in there:
            study.enqueue_trial(dict(parameters), user_attrs={"origin": origin})


def fail_the_dead(study: Study) -> list[int]:
    """End trials that are still running as failed, and return them; for whoever knows that nobody runs any."""
    dead = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for trial in dead:
        study.tell(trial.number, state=TrialState.FAIL)
    return [trial.number for trial in dead]


def ended(study: Study) -> list[FrozenTrial]:
    """Return the trials that count towards the total: completed or pruned."""
    return study.get_trials(deepcopy=False, states=_ENDED)


def sweep(study: Study, score: Callable[[Trial], float], trials: int, told: Callable[[FrozenTrial], None]) -> None:
    """Run trials until `trials` have completed or been pruned, those of earlier processes included.

    Each one is told of after it has ended.
    """
    while (done := len(ended(study))) < trials:
        study.sampler = TPESampler(n_startup_trials=_RANDOM, seed=_seed(study, done))
        study.optimize(score, n_trials=1, callbacks=[lambda _, trial: told(trial)])


def _seed(study: Study, done: int) -> int:
    """Return what the next trial is drawn from: the same again after a kill, another after a second one.

    Parameters that bring their process down each time would otherwise be drawn for ever.
    """
    last = max((trial.number for trial in ended(study)), default=-1)
    failed = sum(trial.number > last for trial in study.get_trials(deepcopy=False, states=(TrialState.FAIL,)))
    return int.from_bytes(hashlib.sha256(f"{study.study_name}/{done}/{max(0, failed - 1)}".encode()).digest()[:4])


def objective(
    folds: Sequence[Fold], threads: int, most_milliseconds: float = MOST_MILLISECONDS
) -> Callable[[Trial], float]:
    """Return what a trial is scored by: its RMSE in dollars over all folds' held-out rows, reported after each fold."""

    def score(trial: Trial) -> float:
        parameters = suggest(trial)
        grown: list[Grown] = []
        for number, fold in enumerate(folds, 1):
            grown.append(grow(fold, parameters, threads))
            so_far = pooled([one.rmse for one in grown], folds)
            trial.report(so_far, number)
            trial.set_user_attr("trees", [one.trees for one in grown])
            if number in {1, len(folds)}:
                _refuse_if_slow(trial, _median(grown), fold, most_milliseconds)
            if number < len(folds) and trial.should_prune():
                trial.set_user_attr("reason", f"behind the median after {number} of {len(folds)} folds")
                raise optuna.TrialPruned
        return so_far

    return score


def _median(grown: Sequence[Grown]) -> Grown:
    return sorted(grown, key=lambda one: one.trees)[(len(grown) - 1) // 2]


def _refuse_if_slow(trial: Trial, grown: Grown, fold: Fold, most: float) -> None:
    """Prune a trial whose model is too slow to serve; the defaults are never refused.

    On a machine on which they are too slow everything is, and a sweep without a completed trial has no best one.
    """
    took = milliseconds(grown.booster, fold.held_out, enough=most)
    trial.set_user_attr("milliseconds", round(took, 3))
    if took > most and trial.user_attrs.get("origin") != DEFAULT:
        trial.set_user_attr("reason", f"slow: {took:.1f} ms for 1,000 rows, {most:g} is the most")
        raise optuna.TrialPruned


def choose(study: Study) -> Choice:
    """Return the completed trial with the lowest error, the earliest of equal ones; raises ValueError for none."""
    return min(_completed(study).values(), key=lambda choice: (choice.rmse, choice.trial))


def completed(study: Study, number: int) -> Choice | None:
    """Return a completed trial by its number."""
    return _completed(study).get(number)


def completed_from(study: Study, origin: str) -> Choice | None:
    """Return the completed trial of the defaults, or of the champion's parameters."""
    return next(
        (
            _completed(study)[trial.number]
            for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            if trial.user_attrs.get("origin") == origin
        ),
        None,
    )


def _completed(study: Study) -> dict[int, Choice]:
    # The final tree count is the median of the folds'.
    return {
        trial.number: Choice(
            trial.number,
            {name: trial.params[name] for name in SPACE},
            median_low(trial.user_attrs["trees"]),
            float(trial.values[0]),
            float(trial.user_attrs["milliseconds"]),
        )
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    }


def digest(study: str, choice: Choice) -> str:
    """Return one sha256 of what a sweep came to."""
    plain = [study, choice.trial, dict(choice.parameters), choice.trees, choice.rmse]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
