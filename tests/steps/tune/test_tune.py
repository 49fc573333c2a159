"""A sweep: what it tries, what it prunes, what it chooses, and that an interruption leaves no trace in the result."""

import math

import numpy as np
import optuna
import pytest
from optuna import Study, Trial
from optuna.trial import FrozenTrial, TrialState
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from steps.common.booster import DEFAULTS, GAMMA
from steps.common.columns import from_listings
from steps.common.margins import margins
from steps.common.store.clean import Listings
from steps.tune import tune
from steps.tune.baselines import BASELINES, ridge, rmse
from steps.tune.folds import FOLDS, SAMPLE_ROWS, Fold, TooFewHouses, grow, make_folds, pooled, sample
from steps.tune.search_space import SPACE, holds, suggest
from tests.steps.common.listings import market

TRIALS = 12


def listings(rows: int, seed: int = 0, buckets: range = range(20, 100)) -> Listings:
    houses, prices, _ = market(rows, seed)
    number = np.arange(rows)
    bucket = np.array(buckets)[number % len(buckets)]
    return Listings(from_listings(houses), prices, number, bucket, number * 0, number)


@pytest.fixture(scope="module")
def folds() -> list[Fold]:
    return make_folds(listings(240), threads=1)


def study(name: str = "sweep") -> Study:
    return optuna.create_study(study_name=name, pruner=tune.pruner())


def swept(folds: list[Fold], trials: int = TRIALS, most: float = math.inf, kept: Study | None = None) -> Study:
    """Run a sweep to its end as the step does; without a limit of time, so that it is the same on any machine."""
    made = kept or study()
    tune.fail_the_dead(made)
    tune.enqueue(made, tune.first_tries(None))
    tune.sweep(made, tune.objective(folds, 1, most), trials, lambda _: None)
    return made


@pytest.fixture(scope="module")
def undisturbed(folds: list[Fold]) -> Study:
    return swept(folds)


def told(made: Study) -> list[tuple[str, object, object]]:
    """Return what counts of a sweep: states, parameters and errors, failed trials left out."""
    return [(trial.state.name, trial.params, trial.intermediate_values) for trial in tune.ended(made)]


def test_the_total_is_reached_some_are_pruned_and_the_best_is_no_worse_than_the_defaults(undisturbed: Study) -> None:
    ended = tune.ended(undisturbed)
    assert len(ended) == TRIALS
    pruned = [trial for trial in ended if trial.state == TrialState.PRUNED]
    assert pruned
    assert all("behind the median after" in trial.user_attrs["reason"] for trial in pruned)
    assert ended[0].params == DEFAULTS
    assert ended[0].state == TrialState.COMPLETE
    defaults = tune.completed_from(undisturbed, tune.DEFAULT)
    best = tune.choose(undisturbed)
    assert defaults is not None
    assert best.rmse <= defaults.rmse
    assert best.rmse == min(trial.values[0] for trial in ended if trial.state == TrialState.COMPLETE)
    assert tune.completed(undisturbed, best.trial) == best
    assert tune.completed(undisturbed, pruned[0].number) is None


def test_the_tree_count_is_the_median_of_the_folds(undisturbed: Study) -> None:
    best = tune.choose(undisturbed)
    trees = undisturbed.trials[best.trial].user_attrs["trees"]
    assert len(trees) == FOLDS
    assert sorted(trees)[1] == best.trees


class Killed(BaseException):
    """What ends a sweep as SIGKILL does: nothing is caught, nothing written."""


@pytest.mark.parametrize("at", [0, 5])
def test_an_interrupted_sweep_ends_as_if_it_had_not_been(folds: list[Fold], undisturbed: Study, at: int) -> None:
    made = study()
    score = tune.objective(folds, 1, math.inf)

    def dies(trial: Trial) -> float:
        if len(tune.ended(made)) == at:
            suggest(trial)
            raise Killed
        return score(trial)

    tune.enqueue(made, tune.first_tries(None))
    with pytest.raises(Killed):
        tune.sweep(made, dies, TRIALS, lambda _: None)
    assert [trial.state for trial in made.trials][-1] == TrialState.RUNNING
    swept(folds, kept=made)
    assert told(made) == told(undisturbed)
    assert [trial.state.name for trial in made.trials].count("FAIL") == 1
    best, wanted = tune.choose(made), tune.choose(undisturbed)
    assert (best.parameters, best.trees, best.rmse) == (wanted.parameters, wanted.trees, wanted.rmse)


def test_parameters_that_kill_their_process_each_time_are_drawn_once_more_and_then_others(folds: list[Fold]) -> None:
    made = swept(folds, trials=1)
    drawn = []

    def dies(trial: Trial) -> float:
        drawn.append(suggest(trial))
        raise Killed

    for _ in range(3):
        tune.fail_the_dead(made)
        with pytest.raises(Killed):
            tune.sweep(made, dies, 2, lambda _: None)
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_finished_sweep_is_not_gone_on_with_and_a_larger_total_adds(folds: list[Fold]) -> None:
    made = swept(folds, trials=3)
    before = told(made)
    swept(folds, trials=3, kept=made)
    assert told(made) == before
    swept(folds, trials=4, kept=made)
    assert told(made)[:3] == before
    assert len(tune.ended(made)) == 4


def test_every_trial_is_told_of_once(folds: list[Fold]) -> None:
    heard: list[FrozenTrial] = []
    tune.sweep(study(), tune.objective(folds, 1, math.inf), 3, heard.append)
    assert [trial.number for trial in heard] == [0, 1, 2]
    assert all(trial.state.is_finished() for trial in heard)


def test_what_is_too_slow_is_refused_but_never_the_defaults(folds: list[Fold]) -> None:
    made = swept(folds, trials=3, most=0.0)
    first, *others = made.trials
    assert first.state == TrialState.COMPLETE
    for trial in others:
        assert trial.state == TrialState.PRUNED
        assert trial.user_attrs["reason"].startswith("slow: ")
        assert trial.user_attrs["milliseconds"] > 0
        assert len(trial.user_attrs["trees"]) == 1, "a slow model is refused after its first fold"
    assert tune.choose(made).parameters == DEFAULTS


def test_the_champions_parameters_are_tried_first_and_once() -> None:
    champion = {**DEFAULTS, "depth": 6, "variance_power": GAMMA}
    made = study()
    for _ in range(2):
        tune.enqueue(made, tune.first_tries(champion))
    waiting = [trial.system_attrs["fixed_params"] for trial in made.trials]
    assert waiting == [DEFAULTS, champion]
    asked = [suggest(made.ask()) for _ in range(2)]
    assert asked == [DEFAULTS, champion]
    assert set(tune.first_tries(dict(DEFAULTS))) == {tune.DEFAULT}
    for strange in ({**champion, "depth": 99}, {"eta": 0.3}, {**champion, "subsample": 0.5}):
        assert set(tune.first_tries(strange)) == {tune.DEFAULT}


def test_the_defaults_are_in_the_space() -> None:
    assert holds(DEFAULTS)
    assert SPACE.keys() == DEFAULTS.keys()


def test_folds_share_no_bucket_and_hold_every_row_out_once() -> None:
    # A price that names its bucket: a held-out price among the learnt ones would be a house on both sides.
    rows = listings(400)
    marked = Listings(
        rows.columns,
        rows.bucket.astype(np.float64),
        *(rows.property_id, rows.bucket, rows.batch_number, rows.row_number),
    )
    made = make_folds(marked, threads=1)
    assert sum(len(fold.held_out_price) for fold in made) == len(rows)
    for fold in made:
        assert set(fold.held_out_price) & set(fold.train_price) == set()
        assert len(fold.held_out) + len(fold.train) == len(rows)


def test_held_out_prices_are_in_no_feature() -> None:
    rows = listings(400)
    first = make_folds(rows, threads=1)[0]
    held = np.isin(rows.price, first.held_out_price) & (np.unique(rows.bucket, return_inverse=True)[1] % FOLDS == 0)
    dearer = np.where(held, rows.price * 5, rows.price)
    changed = make_folds(
        Listings(rows.columns, dearer, rows.property_id, rows.bucket, rows.batch_number, rows.row_number), threads=1
    )[0]
    assert changed.held_out.tobytes() == first.held_out.tobytes()
    assert changed.train.tobytes() == first.train.tobytes()
    assert changed.held_out_price.tolist() == (first.held_out_price * 5).tolist()


@pytest.mark.parametrize("power", [1.2, GAMMA])
def test_the_error_is_in_dollars(folds: list[Fold], power: float) -> None:
    grown = grow(folds[0], {**DEFAULTS, "variance_power": power}, 1)
    prices = np.exp(margins(grown.booster, folds[0].held_out).astype(float))
    assert grown.rmse == pytest.approx(np.sqrt(np.mean((prices - folds[0].held_out_price) ** 2)), rel=1e-5)
    assert grown.booster.num_boosted_rounds() == grown.trees


def test_errors_of_folds_are_pooled_by_their_rows(folds: list[Fold]) -> None:
    errors = [1000.0, 2000.0, 4000.0]
    squares = np.concatenate(
        [np.full(len(fold.held_out_price), error**2) for fold, error in zip(folds, errors, strict=True)]
    )
    assert pooled(errors, folds) == pytest.approx(float(np.sqrt(squares.mean())))
    assert pooled(errors[:1], folds) == pytest.approx(1000.0)


def test_a_sample_is_bounded_and_always_the_same() -> None:
    rows = listings(500)
    assert sample(rows) is rows
    assert SAMPLE_ROWS <= 200_000
    some = sample(rows, 120)
    assert len(some) == len(set(some.row_number.tolist())) == 120
    assert some.row_number.tolist() == sorted(sample(rows, 120).row_number.tolist())


def test_too_few_buckets_are_refused() -> None:
    with pytest.raises(TooFewHouses, match="40 listings in 2 buckets"):
        make_folds(listings(40, buckets=range(20, 22)), threads=1)


def test_the_ridge_is_the_one_everybody_knows(folds: list[Fold]) -> None:
    known = make_pipeline(StandardScaler(), Ridge(alpha=1.0)).fit(folds[0].train.astype(float), folds[0].train_price)
    assert ridge(folds[0], 1) == pytest.approx(known.predict(folds[0].held_out.astype(float)), rel=1e-6)


def test_the_chosen_kind_of_model_beats_both_baselines(folds: list[Fold], undisturbed: Study) -> None:
    for model, _ in BASELINES.values():
        assert tune.choose(undisturbed).rmse < rmse(model, folds, 1)


def test_a_digest_says_what_was_chosen(undisturbed: Study) -> None:
    best = tune.choose(undisturbed)
    assert tune.digest("a", best) == tune.digest("a", best)
    others = [tune.digest("b", best)] + [
        tune.digest("a", choice)
        for trial in undisturbed.trials
        if (choice := tune.completed(undisturbed, trial.number)) != best and choice
    ]
    assert tune.digest("a", best) not in others
    assert len(set(others)) == len(others)
