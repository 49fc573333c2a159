"""The verdict on each kind of batch, from what was measured."""

import dataclasses
import json

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from steps.common.settings import PREFIX, SettingRefused
from steps.common.verdicts import QUARANTINE, SKIP, TRAIN
from steps.validate.champion_error import ChampionError, Comparison, PriceLevel
from steps.validate.learnable import Learnable
from steps.validate.look_back import LookBack
from steps.validate.out_of_line import OutOfLine
from steps.validate.policy import Policy, read_policy
from steps.validate.probe import Gain, RetrainValue
from steps.validate.reason import Code
from steps.validate.validate import Decision, Report, decide, look
from tests.steps.batches import Row, changed, rows, times
from tests.steps.reports import policies, reports
from tests.steps.validate.judging import batch_of, reference_of

POLICY = Policy()
BEFORE = rows(900)
SMALLER = changed(rows(900, seed=1), house_size=times(0.6))
REDRAW = rows(900, seed=1)
BETTER_BEFORE = LookBack(3, 4, 900, 880, 50_000.0, 60_000.0, 10_000.0, 8_000.0, 12_000.0, advised=True)


def looked(some: list[Row], before: list[Row] | None = None) -> Report:
    """Return the report on a batch; that it can be learnt from, and by what margin, is another test."""
    found = look(batch_of(some), reference_of(before) if before else None, POLICY)
    return found if found.faults else dataclasses.replace(found, learnable=Learnable(5000, 600, 0.6, 0.55))


def error(ratio: float, *, odd: float = 0.0, factor: float = 1.0) -> ChampionError:
    own = 50_000.0
    whole = Comparison("batch", "all", 900, own * ratio, "all", 9000, own, ratio, ratio - 0.03, ratio + 0.03, factor)
    level = PriceLevel(factor, 1.0, 0.98 * factor, 1.02 * factor)
    return ChampionError(4, whole, (), OutOfLine(int(900 * odd), odd, 0.0, 400_000.0), level)


def value(share: float, reach: float = 0.005) -> RetrainValue:
    here, there = (
        Gain(500, 490, 50_000.0, 50_000.0 * (1 - one), one, one - reach, one + reach) for one in (share, -0.002)
    )
    return RetrainValue(4, 5, 2000, 1000, 490, 0.5, here, there, share / 2)


LITTLE = "which is too little: a gain of 1.0% is asked"
CHANCE = "which reaches the 1.0% asked but may be chance: the gain's lower bound, -1.0%, is not above 0%"
UNKNOWN = RetrainValue(4, 5, 90, 45, 40, 0.5)


def report(some: list[Row], ratio: float = 1.0, worth: RetrainValue | None = None) -> Report:
    return dataclasses.replace(
        looked(some, BEFORE), champion=error(ratio), retrain_value=value(0.0) if worth is None else worth
    )


def decided(report: Report, *, champion: int | None = 4, forced: bool = False) -> Decision:
    return decide(report, champion=champion, forced=forced, policy=POLICY)


def codes(decision: Decision) -> list[Code]:
    return [reason.code for reason in decision.reasons]


def test_the_first_batch_is_trained_on() -> None:
    found = decided(looked(BEFORE), champion=None)
    assert (found.verdict, codes(found)) == (TRAIN, [Code.NO_CHAMPION])


def test_an_independent_redraw_is_skipped_and_says_why() -> None:
    found = decided(report(REDRAW))
    assert found.verdict == SKIP
    assert codes(found) == [
        Code.NOTHING_CHANGED, Code.NO_NUMERIC_DRIFT, Code.CHAMPION_NOT_WORSE, Code.RETRAIN_DOES_NOT_PAY,
    ]  # fmt: skip


def test_a_redraw_on_which_the_champion_fails_is_trained_on() -> None:
    found = decided(report(REDRAW, 1.5))
    assert found.verdict == TRAIN
    assert codes(found) == [Code.CHAMPION_WORSE_HERE, Code.NO_NUMERIC_DRIFT, Code.RETRAIN_DOES_NOT_PAY]


def test_drift_that_a_training_gains_from_is_trained_on() -> None:
    found = decided(report(SMALLER, worth=value(0.03)))
    assert (found.verdict, codes(found)) == (TRAIN, [Code.RETRAIN_PAYS, Code.DRIFT, Code.CHAMPION_NOT_WORSE])
    assert (found.reasons[0].measured, found.reasons[0].threshold) == (0.03, POLICY.probe_gain)
    assert "a gain of 3.0% (+2.5% to +3.5%), 1.0% is asked" in found.reasons[0].sentence
    assert "on 490 houses of the batches before a loss of 0.2%" in found.reasons[0].sentence
    assert found.reasons[1].about == "house_size"


@pytest.mark.parametrize(
    ("worth", "said", "short", "figures"),
    [
        (value(0.005, 0.001), "-0.5% (-0.6% to -0.4%)", LITTLE, (0.005, 0.01, None)),
        (value(0.005, 0.02), "-0.5% (-2.5% to +1.5%)", LITTLE, (0.005, 0.01, None)),
        (value(0.03, 0.04), "-3.0% (-7.0% to +1.0%)", CHANCE, (0.03 - 0.04, 0.0, "chance")),
        (value(-0.02), "+2.0% (+1.5% to +2.5%)", LITTLE, (-0.02, 0.01, None)),
    ],
)
def test_drift_without_damage_is_skipped_and_says_which_rule_failed_with_the_numbers(
    worth: RetrainValue, said: str, short: str, figures: tuple[float, float, str | None]
) -> None:
    found = decided(report(SMALLER, worth=worth))
    assert found.verdict == SKIP
    assert codes(found) == [
        Code.DRIFT_WITHOUT_DAMAGE, Code.DRIFT, Code.CHAMPION_NOT_WORSE, Code.RETRAIN_DOES_NOT_PAY,
    ]  # fmt: skip
    assert "house_size changed, but without damage: the champion is 1.00 times as wrong" in found.reasons[0].sentence
    assert f"{said}, {short}" in found.reasons[0].sentence
    assert f"), {short}; on 490 houses" in found.reasons[-1].sentence
    for reason in (found.reasons[0], found.reasons[-1]):
        assert (reason.measured, reason.threshold, reason.failed) == figures


def test_drift_whose_worth_nobody_can_measure_is_no_reason() -> None:
    found = decided(report(SMALLER, worth=UNKNOWN))
    assert (found.verdict, codes(found)[0]) == (SKIP, Code.DRIFT_WITHOUT_DAMAGE)
    (probe,) = [reason for reason in found.reasons if reason.code is Code.PROBE_NOT_MEASURED]
    assert probe.measured is None
    assert "not knowing is no reason to train" in probe.sentence
    worse = decided(report(SMALLER, 1.5, UNKNOWN))
    assert (worse.verdict, codes(worse)[0]) == (TRAIN, Code.CHAMPION_WORSE_HERE)


def test_a_gain_without_any_change_is_told_and_no_reason() -> None:
    found = decided(report(REDRAW, worth=value(0.03)))
    assert (found.verdict, codes(found)[0]) == (SKIP, Code.NOTHING_CHANGED)
    assert Code.RETRAIN_PAYS in codes(found)


@pytest.mark.parametrize(("factor", "verdict"), [(1.1, TRAIN), (0.9, TRAIN), (1.03, SKIP)])
def test_like_houses_at_another_price_are_a_change_in_no_column(factor: float, verdict: str) -> None:
    dearer = dataclasses.replace(report(REDRAW, worth=value(0.05)), champion=error(1.0, factor=factor))
    found = decided(dearer)
    assert found.verdict == verdict
    assert (Code.PRICE_LEVEL in codes(found)) == (verdict == TRAIN)


def test_a_new_category_is_trained_on_where_that_pays_and_no_numeric_drift_is_said() -> None:
    found = decided(report(rows(900, seed=1, status="auctioned"), worth=value(0.03)))
    assert found.verdict == TRAIN
    assert codes(found) == [
        Code.RETRAIN_PAYS, Code.NEW_CATEGORY, Code.NO_NUMERIC_DRIFT, Code.CHAMPION_NOT_WORSE,
    ]  # fmt: skip


@pytest.mark.parametrize("new", [1, 29])
def test_a_new_state_on_too_few_rows_is_named_and_no_reason_and_both_limits_are_said(new: int) -> None:
    found = decided(report([*REDRAW, *rows(new, seed=2, state="Guam")], worth=value(0.03)))
    assert (found.verdict, codes(found)[0]) == (SKIP, Code.NOTHING_CHANGED)
    assert "no value never seen before is on 0.1% of the rows and 30 rows" in found.reasons[0].sentence
    assert (found.reasons[0].threshold, found.reasons[0].least_rows) == (0.001, 30)
    assert any(f"guam on {new}" in reason.sentence for reason in found.reasons)


@pytest.mark.parametrize("forced", [False, True])
def test_a_champion_that_cannot_price_these_houses_is_a_reason_to_train(forced: bool) -> None:
    why = "version 4 was trained under split_v0"
    found = decided(dataclasses.replace(looked(REDRAW, BEFORE), champion_unusable=why), forced=forced)
    assert found.verdict == TRAIN
    assert codes(found)[int(forced)] is Code.CHAMPION_UNUSABLE
    assert why in found.reasons[int(forced)].sentence


def test_going_back_is_advised_whatever_the_verdict() -> None:
    for ratio, verdict in ((1.0, SKIP), (1.5, TRAIN)):
        found = decided(dataclasses.replace(report(REDRAW, ratio), previous=BETTER_BEFORE))
        assert (found.verdict, codes(found)[-1]) == (verdict, Code.ROLLBACK_ADVISED)
    calm = dataclasses.replace(BETTER_BEFORE, advised=False)
    assert Code.ROLLBACK_ADVISED not in codes(decided(dataclasses.replace(report(REDRAW), previous=calm)))


def test_prices_out_of_line_are_named_and_decide_nothing() -> None:
    few, many = (dataclasses.replace(report(REDRAW), champion=error(1.0, odd=odd)) for odd in (0.001, 0.01))
    assert Code.PRICES_OUT_OF_LINE not in codes(decided(few))
    (reason,) = [one for one in decided(many).reasons if one.code is Code.PRICES_OUT_OF_LINE]
    assert "9 prices (1.0% of those scored)" in reason.sentence
    assert "$400,000" in reason.sentence
    assert decided(many).verdict == decided(few).verdict == SKIP


@pytest.mark.parametrize("champion", [None, 4])
def test_a_batch_nothing_can_be_learnt_from_is_skipped_whatever_changed(champion: int | None) -> None:
    unlearnable = dataclasses.replace(report(SMALLER, worth=value(0.05)), learnable=Learnable(5000, 600, 0.02, -0.05))
    found = decided(unlearnable, champion=champion)
    assert found.verdict == SKIP
    assert found.reasons[0].code is Code.NOT_LEARNABLE
    assert (Code.DRIFT in codes(found)) == (champion is not None)


def test_a_gain_from_fewer_of_its_rows_than_count_is_not_known() -> None:
    found = decided(report(SMALLER, worth=dataclasses.replace(value(0.03), batch_rows=29)))
    assert (found.verdict, codes(found)[0], codes(found)[-1]) == (
        SKIP, Code.DRIFT_WITHOUT_DAMAGE, Code.PROBE_NOT_MEASURED,
    )  # fmt: skip
    assert [found.reasons[place].measured for place in (0, -1)] == [None, None]


@pytest.mark.parametrize("learnable", [Learnable(5000, 600, 0.6, 0.55), Learnable(10, 2, None, None)])
def test_what_is_forced_is_trained_on_and_the_rest_is_said(learnable: Learnable) -> None:
    found = decided(dataclasses.replace(report(REDRAW), learnable=learnable), forced=True)
    assert found.verdict == TRAIN
    assert codes(found)[0] is Code.FORCED
    assert (Code.NOT_LEARNABLE in codes(found)) == (learnable.rho is None)


def test_force_does_not_open_the_quarantine() -> None:
    found = decided(looked(rows(900, seed=1, zip_code=None), BEFORE), forced=True)
    assert (found.verdict, codes(found)) == (QUARANTINE, [Code.TOO_MANY_REFUSED])


def test_faults_are_named_together() -> None:
    metric = changed(rows(900, seed=1), house_size=times(0.0001))
    assert codes(decided(looked(metric, BEFORE))) == [Code.TOO_MANY_REFUSED, Code.UNIT_CHANGE]


@given(
    st.booleans(), st.floats(0.5, 3), st.floats(-0.5, 0.9), st.floats(0.001, 0.5), st.sampled_from([0.02, 0.55]),
    st.booleans(),
)  # fmt: skip
def test_every_verdict_has_a_reason_beyond_schedule_and_quantity_and_none_twice(
    drifts: bool, ratio: float, share: float, reach: float, low: float, forced: bool
) -> None:
    base = _DRIFTED if drifts else _CALM
    found = decided(
        dataclasses.replace(
            base, champion=error(ratio), retrain_value=value(share, reach), learnable=Learnable(5000, 600, low, low)
        ),
        forced=forced,
    )
    assert len(set(codes(found))) >= 2 or codes(found)[0] is Code.NO_CHAMPION
    assert len({reason.sentence for reason in found.reasons}) == len(found.reasons)
    asked = ratio - 0.03 > POLICY.champion_ratio or (drifts and share >= POLICY.probe_gain and share > reach)
    assert found.verdict == (TRAIN if forced or (asked and low > POLICY.learnable_rho) else SKIP)


_DRIFTED, _CALM = looked(SMALLER, BEFORE), looked(REDRAW, BEFORE)
ASKED = {
    Code.FORCED, Code.NO_CHAMPION, Code.CHAMPION_UNUSABLE, Code.CHAMPION_WORSE_HERE, Code.RETRAIN_PAYS,
}  # fmt: skip
SPARED = {Code.NOT_LEARNABLE, Code.DRIFT_WITHOUT_DAMAGE, Code.NOTHING_CHANGED}


@settings(deadline=None)
@given(reports(), policies, st.sampled_from([None, 4]), st.booleans())
def test_the_first_reason_is_one_of_the_verdict(
    report: Report, thresholds: dict[str, float], champion: int | None, forced: bool
) -> None:
    found = decide(report, champion=champion, forced=forced, policy=Policy.model_validate(thresholds))
    assume(found.verdict != QUARANTINE)
    assert codes(found)[0] in {TRAIN: ASKED, SKIP: SPARED}[found.verdict]


def test_a_whole_report_can_be_stored() -> None:
    whole = dataclasses.replace(report(rows(900, seed=1, acre_lot=None), worth=value(0.03)), previous=BETTER_BEFORE)
    plain = json.loads(json.dumps(whole.as_json(), allow_nan=False))
    assert plain["counts"]["rows"] == 900
    assert plain["drift"]["acre_lot"]["median"] is None
    assert plain["champion"]["overall"]["ratio"] == 1.0
    assert plain["retrain_value"]["here"]["share"] == 0.03
    assert plain["previous"]["gain"] == 10_000.0


def test_every_threshold_says_what_it_is_for() -> None:
    for name, field in Policy.model_fields.items():
        assert field.description, name


def test_thresholds_are_overridden_and_wrong_ones_named() -> None:
    assert read_policy({}) == POLICY
    assert read_policy({"psi": 0.1, "champion_ratio": 1.2}).psi == 0.1
    with pytest.raises(SettingRefused, match=f"^{PREFIX}VALIDATE_POLICY: refused_share: .*; psy: [^\n]*$"):
        read_policy({"psy": 0.1, "refused_share": 2})
