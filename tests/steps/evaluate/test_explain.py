"""The whole explanation: every part of real fits, and a sentence wherever one cannot be had."""

import dataclasses
from functools import cache
from typing import Any

import numpy as np
import pytest

from steps.common.explanation import Explanation
from steps.evaluate import explain, explaining
from steps.evaluate.explain import Given
from steps.evaluate.scores import metrics
from tests.steps.evaluate.houses import draw, together
from tests.steps.evaluate.planted import card, given
from tests.steps.evaluate.test_paragraph import unfounded

EVERYTHING = together(draw(6000, 1), draw(6000, 2, batch=1, dearer=1.4))


@cache
def usual() -> Given:
    return given(EVERYTHING, card(0), card(0, 1))


@cache
def found() -> Explanation:
    return explain.explain(usual())


def with_cards(champion: dict[str, Any], candidate: dict[str, Any], batch: int) -> Explanation:
    return explain.explain(given(EVERYTHING, champion, candidate, batch))


def test_every_part_is_there_and_every_number_of_the_paragraph_in_the_data() -> None:
    one = found()
    assert None not in {one.before, one.new, one.table, one.error_change, one.gain_split, one.attributions}
    assert one.notes == ()
    assert len(one.paragraph) >= 8
    assert unfounded(one.paragraph, one) == []


def test_the_same_versions_and_rows_give_the_same_explanation() -> None:
    assert explain.explain(usual()) == found()
    assert Explanation.model_validate_json(found().model_dump_json()) == found()


def test_the_table_is_that_of_both_models_on_both_sides() -> None:
    of, table = usual(), found().table
    assert table is not None
    masks = {"all": of.rows.price > 0, "new": of.rows.batch_number == 1, "before": of.rows.batch_number == 0}
    for cell in table.cells:
        some, model = masks[cell.on], getattr(of, cell.model)
        known = metrics(of.rows.price[some], model.scored.prices[some])
        assert [cell.rmse.point, cell.mae.point] == pytest.approx([known.rmse, known.mae])
        assert cell.rmse.low < cell.rmse.point < cell.rmse.high
    rmse = {(cell.model, cell.on): cell.rmse for cell in table.cells}
    for gain in table.gains:
        champion, candidate = rmse["champion", gain.on], rmse["candidate", gain.on]
        assert gain.rmse.point == pytest.approx(champion.point - candidate.point)
        assert gain.rows == masks[gain.on].sum()
        # Paired: on the same houses, much of what the two errors vary by they share.
        apart = np.hypot(champion.high - champion.low, candidate.high - candidate.low)
        assert gain.on != "before" or gain.rmse.high - gain.rmse.low < 0.8 * apart


def test_a_champion_of_every_batch_has_this_one_stand_against_the_rest() -> None:
    one = with_cards(card(0, 1), card(0, 1, trees=40), 0)
    assert one.retrained
    assert one.before is not None
    assert one.new is not None
    assert (one.before.batches, one.new.batches) == ((1,), (0,))
    assert one.notes == ("The champion was trained on every batch, batch 0 too; this one stands against the rest.",)
    assert one.gain_split is not None
    assert (one.gain_split.same_data, one.gain_split.data.point) == (True, 0)
    assert "of batch 0 the candidate's RMSE" in one.paragraph[1]


def without(of: Given, batch: int) -> Given:
    """Return what is given without the test rows of a batch."""
    keep = of.rows.batch_number != batch
    rows = of.rows.take(keep)
    champion, candidate = (
        dataclasses.replace(one, scored=dataclasses.replace(one.scored, prices=one.scored.prices[keep]))
        for one in (of.champion, of.candidate)
    )
    return dataclasses.replace(of, rows=rows, champion=champion, candidate=candidate)


@pytest.mark.parametrize("batch", [0, 1])
def test_a_batch_without_test_rows_has_its_sentence_and_the_rest_is_explained(batch: int) -> None:
    of = without(usual(), batch)
    one = explain.explain(of)
    assert one.notes == (
        f"No test row is of batch {batch}, so the {len(of.rows):,} others have nothing to stand beside.",
    )
    assert one.error_change is None
    assert None not in {one.table, one.gain_split, one.attributions}
    assert one.notes[0] == one.paragraph[-1]


def test_prices_that_are_no_numbers_leave_sentences_and_no_part_that_rests_on_them() -> None:
    of = usual()
    prices = of.champion.scored.prices.copy()
    prices[5] = np.nan
    broken = dataclasses.replace(of.champion, scored=dataclasses.replace(of.champion.scored, prices=prices))
    one = explain.explain(dataclasses.replace(of, champion=broken))
    assert (one.table, one.error_change, one.gain_split) == (None, None, None)
    assert one.attributions is not None
    assert [note.partition(" could not be computed: ")[0] for note in one.notes] == [
        "The table of errors before and now", "The change of the champion's error",
        "The split of the gain into data and parameters",
    ]  # fmt: skip


def test_parameters_nobody_can_fit_any_more_cost_the_split_and_nothing_else() -> None:
    of = usual()
    strange = {**card(0), "parameters": {"forest": 3}}
    champion = dataclasses.replace(of.champion, bundle=dataclasses.replace(of.champion.bundle, card=strange))
    one = explain.explain(dataclasses.replace(of, champion=champion))
    assert one.gain_split is None
    assert "The split of the gain into data and parameters could not be computed: KeyError" in one.notes[0]
    assert (one.table, one.error_change) == (found().table, found().error_change)


@pytest.mark.parametrize(
    ("against", "champion", "why"),
    [
        (None, False, "There is no champion beside version 2, so there is no change to explain."),
        (2, True, "Version 2 is in production already and would be compared with itself."),
        (1, False, "Version 1, in production, could not be scored, so what changed cannot be explained."),
        (1, True, ""),
    ],
)
def test_where_there_are_not_two_versions_a_sentence_says_so(against: int | None, champion: bool, why: str) -> None:
    assert explaining._nothing_to_explain(2, against, usual().champion if champion else None) == why
