"""The synthetic batches: the six rules, the drift of the real ones, the traps, and enough signal to learn from."""

from __future__ import annotations

import datetime as dt
import functools
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xgboost
from numpy.typing import NDArray

from local.synthetic import SyntheticBatches, generate
from local.synthetic_market import Market, NothingToDraw, State, draw_listings, draw_wanted, log_price, places

NUMBERS = ("price", "bed", "bath", "acre_lot", "house_size")
Columns = dict[str, NDArray[Any]]


@functools.cache
def batches(seed: int = Market.seed, scale: float = 1.0) -> list[Columns]:
    tables = generate(SyntheticBatches(market=Market(seed=seed), scale=scale))
    return [{name: table[name].to_numpy() for name in table.column_names} for table in tables]


def together(parts: list[Columns]) -> Columns:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def psi(before: NDArray[Any], now: NDArray[Any]) -> float:
    """Return the population stability index over ten bins of equal share before (Siddiqi 2006, chapter 9)."""
    borders = np.unique(np.quantile(before, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]))
    index = 0.0
    for low, high in zip([-np.inf, *borders], [*borders, np.inf], strict=True):
        was = max(1e-4, float(np.mean((before >= low) & (before < high))))
        now_is = max(1e-4, float(np.mean((now >= low) & (now < high))))
        index += (now_is - was) * np.log(now_is / was)
    return index


def drift(number: int, seed: int = Market.seed) -> dict[str, float]:
    before = together(batches(seed)[:number])
    return {name: psi(before[name], batches(seed)[number][name]) for name in NUMBERS}


def test_the_measure_itself_gives_the_textbook_values() -> None:
    uniform = np.arange(1000.0)
    assert psi(uniform, uniform) == 0
    # All in the last bin: (1 - .1) ln(1 / .1) + 9 (.0001 - .1) ln(.0001 / .1)
    assert psi(uniform, uniform + 1000) == pytest.approx(8.283, abs=0.001)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("scale", [0.02, 1.0])
def test_every_row_obeys_the_rule_of_its_batch(seed: int, scale: float) -> None:
    zero, one, two, three, four, five = batches(seed, scale)
    for cheap in (zero, one, two):
        assert cheap["price"].max() <= 300_000
        assert "Massachusetts" not in cheap["state"]
    assert set(zero["status"]) == set(one["status"]) == {"for_sale"}
    assert zero["house_size"].min() >= 1500
    assert one["house_size"].max() < 1500
    assert set(two["status"]) == {"sold"}
    assert set(three["state"]) == {"Massachusetts"}
    assert three["price"].max() <= 300_000
    assert four["price"].min() > 300_000
    assert four["price"].max() <= 500_000
    assert five["price"].min() > 500_000


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_drift_is_that_of_the_real_batches(seed: int) -> None:
    smaller = drift(1, seed)
    assert smaller["house_size"] > 8
    assert smaller["bed"] > 1
    assert smaller["bath"] > 1
    assert 0.2 < smaller["price"] < 1
    assert max(drift(2, seed).values()) < 0.02
    for number in (4, 5):
        disjoint = drift(number, seed)
        assert disjoint["price"] > 8
        assert 0.25 < disjoint["bath"] < 2
        assert 0.25 < disjoint["house_size"] < 2
        assert disjoint["acre_lot"] < 0.2


def test_batch_2_is_sold_in_seven_months_and_nothing_of_it_was_before() -> None:
    zero, one, two, *_ = batches()
    sold = [dt.date.fromisoformat(day) for day in two["prev_sold_date"]]
    assert min(sold) >= dt.date(2021, 10, 1)
    assert max(sold) <= dt.date(2022, 5, 31)
    assert "sold" not in {*zero["status"], *one["status"]}
    others = [dt.date.fromisoformat(day) for day in together([zero, one])["prev_sold_date"]]
    assert min(others).year < 1970
    assert max(others).year == 2023


def test_batch_3_is_a_state_never_seen_of_about_one_percent() -> None:
    before = together(batches()[:3])
    assert "Massachusetts" not in before["state"]
    share = len(batches()[3]["price"]) / len(together(batches())["price"])
    assert share == pytest.approx(0.01, abs=0.003)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_batch_5_has_a_heavy_tail(seed: int) -> None:
    price = batches(seed)[5]["price"]
    assert price.max() > 10 * np.median(price)
    assert np.quantile(price, 0.99) < 5 * np.median(price)


def test_the_traps_are_in_it() -> None:
    everything = together(batches())
    assert (everything["price"] == 1).sum() == 2
    assert (everything["bed"] == 444).sum() == 1
    assert (everything["acre_lot"] == 100_000).sum() == 1
    assert (everything["house_size"] == 1_560_780).sum() == 1
    rarest, next_rarest, *_ = sorted(Counter(everything["state"]).values())
    assert rarest == 1
    assert next_rarest > 1000
    # Few enough that no more is refused than of the real batches.
    assert 0.005 * len(everything["price"]) > 5


def test_without_traps_there_are_none() -> None:
    tables = generate(SyntheticBatches(traps=False, scale=0.1))
    clean = together([{name: table[name].to_numpy() for name in table.column_names} for table in tables])
    assert clean["price"].min() > 10_000
    assert clean["bed"].max() < 20
    assert "Wyoming" not in clean["state"]


def test_one_listing_in_ten_is_one_of_twins_at_the_same_price_for_sale_and_sold() -> None:
    everything = together(batches())
    houses: dict[tuple[float, float], list[int]] = {}
    for row, house in enumerate(zip(everything["street"], everything["zip_code"], strict=True)):
        houses.setdefault(house, []).append(row)
    pairs = [rows for rows in houses.values() if len(rows) == 2]
    twins = [rows for rows in pairs if len(set(everything["price"][rows])) == 1]
    assert len(pairs) - len(twins) < 0.01 * len(twins)
    assert 2 * len(twins) / len(everything["price"]) == pytest.approx(0.10, abs=0.01)
    for rows in twins:
        assert set(everything["status"][rows]) == {"for_sale", "sold"}
        assert {len(set(everything[name][rows])) for name in ("house_size", "acre_lot", "city", "bed")} == {1}


def test_some_twins_meet_across_batches() -> None:
    zero_and_one = together(batches()[:2])
    before = set(zip(zero_and_one["street"], zero_and_one["zip_code"], zero_and_one["price"], strict=True))
    two = batches()[2]
    again = before & set(zip(two["street"], two["zip_code"], two["price"], strict=True))
    assert len(again) == 1000


def stored(batches: SyntheticBatches) -> bytes:
    sink = pa.BufferOutputStream()
    for table in generate(batches):
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    return bytes(sink.getvalue())


def test_the_same_seed_gives_the_same_bytes_another_one_others() -> None:
    small = SyntheticBatches(scale=0.05)
    assert stored(small) == stored(SyntheticBatches(scale=0.05))
    assert stored(small) != stored(replace(small, market=Market(seed=2)))
    assert stored(small) != stored(replace(small, market=Market(draw=1)))


@pytest.mark.parametrize("scale", [0.001, 0.1, 2.0])
def test_scale_multiplies_the_rows(scale: float) -> None:
    rows = [len(batch["price"]) for batch in batches(scale=scale)]
    assert sum(rows) == pytest.approx(38_400 * scale, rel=0.02, abs=12)
    assert min(rows) >= 1


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_no_scale_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="the scale must be a positive number"):
        SyntheticBatches(scale=scale)


def in_scope(columns: Columns) -> Columns:
    kept = (columns["price"] >= 10_000) & (columns["price"] <= 10_000_000) & (columns["house_size"] <= 50_000)
    return {name: values[kept] for name, values in columns.items()}


@functools.cache
def until(number: int) -> Columns:
    return in_scope(together(batches()[: number + 1]))


@functools.cache
def model_after(number: int) -> Callable[[Columns], NDArray[np.float64]]:
    """Fit prices on four houses in five of batches 0 to `number`."""
    fitted = {name: values[until(number)["street"] % 5 != 0] for name, values in until(number).items()}
    log = np.log(fitted["price"])
    levels = {zip_code: log[fitted["zip_code"] == zip_code].mean() for zip_code in set(fitted["zip_code"])}

    def features(columns: Columns) -> xgboost.DMatrix:
        level = [levels.get(zip_code, log.mean()) for zip_code in columns["zip_code"]]
        return xgboost.DMatrix(np.column_stack([level, *(columns[name] for name in NUMBERS if name != "price")]))

    data = features(fitted)
    data.set_label(log)
    booster = xgboost.train({"max_depth": 5, "eta": 0.1, "nthread": 1, "min_child_weight": 5}, data, 120)
    return lambda columns: np.exp(booster.predict(features(columns)))


def held_out_error(number: int, columns: Columns) -> tuple[float, float]:
    """Return RMSE in dollars and R² of the model after batch `number` on every fifth house."""
    test = {name: values[columns["street"] % 5 == 0] for name, values in columns.items()}
    error = model_after(number)(test) - test["price"]
    return float(np.sqrt(np.mean(error**2))), float(1 - np.mean(error**2) / np.var(test["price"]))


def test_a_model_learns_most_of_the_price_but_not_all() -> None:
    _, r2 = held_out_error(4, until(4))
    assert 0.7 < r2 < 0.9


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_each_batch_makes_the_model_better_on_all_that_is_known(number: int) -> None:
    before, _ = held_out_error(number - 1, until(number))
    after, _ = held_out_error(number, until(number))
    assert after < 0.995 * before


def test_massachusetts_is_priced_wrong_by_a_factor_by_who_has_never_seen_it() -> None:
    at_home, _ = held_out_error(2, until(2))
    away, _ = held_out_error(2, batches()[3])
    assert away > 1.5 * at_home


def draw(market: Market, count: int = 4000) -> Columns:
    return draw_listings(market, np.random.default_rng(5), count)


def test_the_price_function_and_the_noise_make_the_price() -> None:
    market = Market(luxury_share=0.0)
    drawn = draw(market, 20_000)
    noise = np.log(drawn["price"]) - log_price(market, drawn)
    assert noise.mean() == pytest.approx(0, abs=0.005)
    assert noise.std() == pytest.approx(market.noise_spread, rel=0.05)


def test_dearer_houses_are_the_same_houses() -> None:
    before, after = draw(Market()), draw(Market(price_factor=1.1))
    assert after["price"] == pytest.approx(1.1 * before["price"], abs=110)
    assert all((before[name] == after[name]).all() for name in before if name != "price")


def test_a_new_state_leaves_the_others_as_they_are() -> None:
    market = Market()
    grown = replace(market, states=(*market.states, State("Oregon", 97001, 0.2, 0.05)))
    old = np.isin(places(grown).zip_code, places(market).zip_code)
    assert set(places(grown).state[~old]) == {"Oregon"}
    assert (places(grown).dearness[old] == places(market).dearness).all()
    assert (places(grown).city[old] == places(market).city).all()


def test_a_redraw_has_other_houses_in_the_same_market() -> None:
    first = SyntheticBatches(scale=0.2)
    again = replace(first, market=replace(first.market, draw=1))
    streets = [set(table["street"].to_pylist()) for batches in (first, again) for table in generate(batches)[:1]]
    assert len(streets[0] & streets[1]) < 0.02 * len(streets[0])
    assert (places(first.market).dearness == places(again.market).dearness).all()
    for name in NUMBERS:
        assert psi(generate(first)[2][name].to_numpy(), generate(again)[2][name].to_numpy()) < 0.05


def test_other_houses_have_the_same_prices_for_like_houses() -> None:
    larger = Market(house_size_mean=Market.house_size_mean + 0.3, luxury_share=0.0)
    drawn = draw(larger)
    assert psi(draw(Market())["house_size"], drawn["house_size"]) > 0.3
    assert (np.log(drawn["price"]) - log_price(Market(), drawn)).mean() == pytest.approx(0, abs=0.01)


def test_listings_of_a_kind_can_be_drawn_and_an_impossible_kind_ends() -> None:
    rng = np.random.default_rng(1)
    drawn = draw_wanted(Market(), rng, 50, lambda block: block["bed"] >= 6)
    assert len(drawn["bed"]) == 50
    assert drawn["bed"].min() >= 6
    with pytest.raises(NothingToDraw):
        draw_wanted(Market(zips_per_city=1), rng, 1, lambda block: block["bed"] > 444)
