"""The sweep with and without pruning, and the final fit, on batches 0 to 4 as fetch and clean leave them.

Both are the steps' own functions in tune's environment (tests/bench/trials.py), on the same sampled rows and folds, to
the same total of trials, on one thread; the study is in memory. Pruning must not cost quality, so the best error of
each stands beside its time: after the first pruned trial the sampler draws others, so the two differ by luck too, and
what the gate would not take for a gain does not count. On one thread processor time is the work that was done.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from steps.promote.policy import Policy
from tests.bench.batches import Size, clean_before, deployment, described, source
from tests.bench.measuring import Ended, goal, measured, program
from tests.steps.deployment import Deployment

ROWS: Final = 723_452
TRIALS: Final = 20
MOST_SECONDS: Final = 300
BATCHES: Final = range(5)
# Of batches 0 to 4 of the real data; an untuned Tweedie fit (250 trees of depth 8) reaches 53.6k, 42.4k, .795, .127.
_QUALITY: Final = {"rmse": 53_400.0, "mae": 42_300.0, "r2": 0.795, "mdape": 0.127}
_PARTS: Final = ("read", "folds", "trials", "fit")


def run(size: Size) -> Iterator[str]:
    """Yield the report."""
    yield f"{described(size)} 0 to 4 · {TRIALS} trials by steps.tune.tune, fit by steps.train.train, study in memory"
    with deployment() as deployed, source(size, BATCHES, ROWS) as running:
        clean_before(deployed, running, BATCHES.stop)
        parts = " ".join(f"{f'{name} s':>8}" for name in _PARTS)
        yield f"{'pruner':7} {parts} {'all s':>8} {'processor s':>12} {'peak MB':>8} {'best RMSE':>10}  trials"
        ended, pruned = _swept(deployed, "median")
        yield _line("median", pruned, ended)
        without, whole = _swept(deployed, "none")
        yield _line("none", whole, without)
    yield f"{whole['rows']:,} rows to train on, {whole['sampled']:,} of them in the folds"
    yield from _pruning(pruned, whole)
    yield from _in_time(ended)
    yield from _quality(pruned["quality"], of_the_goals=size.folder is not None)


def _swept(deployed: Deployment, pruner: str) -> tuple[Ended, dict[str, Any]]:
    settings = {**deployed.environment, "APPRAISER_TRIALS": str(TRIALS), "OMP_NUM_THREADS": "1"}
    ended = measured([program("tune"), "-m", "tests.bench.trials", pruner], settings)
    return ended, json.loads(ended.printed)


def _line(name: str, said: dict[str, Any], ended: Ended) -> str:
    parts = " ".join(f"{said['seconds'][part][0]:>8.1f}" for part in _PARTS)
    done = [*(f"{count} {state.lower()}" for state, count in said["states"].items()), f"{said['grown']} models grown"]
    used = f"{ended.seconds:>8.1f} {ended.processor_seconds:>12.1f} {ended.peak_mb:>8.0f}"
    return f"{name:7} {parts} {used} {said['rmse']:>10,.0f}  {', '.join(done)}, best {said['trees']} trees"


def _pruning(pruned: dict[str, Any], whole: dict[str, Any]) -> Iterator[str]:
    cost = pruned["rmse"] / whole["rmse"] - 1
    most = Policy().least_gain
    clock, work = (whole["seconds"]["trials"][kind] / pruned["seconds"]["trials"][kind] for kind in range(2))
    yield f"pruning: {clock:.2f} times the speed, {work:.2f} times by processor time"
    yield f"pruning: best RMSE {cost:+.2%} · {goal(f'at most {most:+.1%}', met=cost <= most)}"


def _in_time(ended: Ended) -> Iterator[str]:
    within = f"{MOST_SECONDS} s for {TRIALS} trials and the fit on {ROWS:,} rows, one core"
    yield f"with the start {ended.seconds:.0f} s · {goal(within, met=ended.seconds <= MOST_SECONDS)}"
    processor = ended.processor_seconds
    yield f"of processor time {processor:.0f} s · {goal(f'{MOST_SECONDS} s', met=processor <= MOST_SECONDS)}"


def _quality(found: dict[str, dict[str, float]], *, of_the_goals: bool) -> Iterator[str]:
    for name, figures in found.items():
        rmse, mae, r2, mdape = (figures[metric] for metric in _QUALITY)
        yield f"{name}, {figures['rows']:,} rows: RMSE {rmse:,.0f}, MAE {mae:,.0f}, R² {r2:.4f}, MdAPE {mdape:.4f}"
    if of_the_goals:
        figures = found["test part"]
        for metric, limit in _QUALITY.items():
            met = figures[metric] >= limit if metric == "r2" else figures[metric] <= limit
            yield f"test part, {metric} {figures[metric]:,.4g} · {goal(f'{limit:,.4g}', met=met)}"
