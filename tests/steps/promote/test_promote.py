"""The gate: what it decides from which evidence, case by case, and what holds for any evidence at all."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.common.evidence import PAIRED_ROWS
from steps.common.settings import SettingRefused
from steps.common.store.ledger import Verdict
from steps.promote.policy import Policy, read_policy
from steps.promote.promote import HOLD, PROMOTE, REJECT, decide
from tests.steps.promote.evidence import evidence, metrics, part

DEFAULT = Policy()


def codes(verdict: Verdict) -> list[str]:
    return [reason["code"] for reason in verdict.reasons]


def infrastructure(**changes: Any) -> dict[str, Any]:
    return {**evidence()["infrastructure"], **changes}


# After batch 4 of the real data: overall twice as good, on the champion's own range of prices 10 % worse.
BATCH_4 = evidence(
    57_000, 128_700, spread=600,
    slices=[
        part("price_band", "100000 to 200000", 44_000, 40_000, new_rows=0),
        part("status", "for_sale", 50_000, 45_000, rows=20_000),
        part("status", "sold", 42_000, 38_000, new_rows=0),
        part("zip_seen", "yes", 56_000, 128_000),
    ],
)  # fmt: skip
WORSE_ON = {"candidate": 60_000, "champion": 50_000}

CASES: list[tuple[str, dict[str, Any], dict[str, Any], str, list[str]]] = [
    ("clearly better", evidence(52_000, 55_000), {}, PROMOTE, ["BETTER"]),
    ("clearly worse", evidence(55_000, 52_000), {}, REJECT, ["WORSE", "MAE_WORSE", "COMPARED"]),
    ("the same", evidence(52_000, 52_000), {}, HOLD, ["CANNOT_TELL"]),
    ("better, but by less than is worth it", evidence(54_900, 55_000, spread=10), {}, HOLD, ["CANNOT_TELL"]),
    ("better, but not surely", evidence(54_000, 55_000, spread=800), {}, HOLD, ["CANNOT_TELL"]),
    ("better, but within the luck of training", evidence(54_000, 55_000, noise=0.01), {}, HOLD, ["CANNOT_TELL"]),
    ("worse, but not surely", evidence(55_300, 55_000, spread=400), {}, HOLD, ["CANNOT_TELL"]),
    ("worse, but within the luck of training", evidence(55_300, 55_000, spread=10, noise=0.01), {}, HOLD,
     ["CANNOT_TELL"]),
    ("lower bound exactly at the threshold", evidence(54_725, 55_000, spread=0), {}, HOLD, ["CANNOT_TELL"]),
    ("lower bound just above", evidence(54_724, 55_000, spread=0), {}, PROMOTE, ["BETTER"]),
    ("mean error worse", evidence(52_000, 55_000, candidate_mae=55_000 * 0.78 * 1.02), {}, REJECT,
     ["MAE_WORSE", "COMPARED"]),
    ("mean error within its tolerance", evidence(52_000, 55_000, candidate_mae=55_000 * 0.78 * 1.009), {}, PROMOTE,
     ["BETTER"]),
    ("a guarded slice worse", evidence(slices=[part("status", "sold", **WORSE_ON)]), {}, REJECT,
     ["SLICE_WORSE", "COMPARED"]),
    ("unseen zip codes worse", evidence(slices=[part("zip_seen", "no", **WORSE_ON)]), {}, REJECT,
     ["SLICE_WORSE", "COMPARED"]),
    ("undecided and a guarded slice worse", evidence(55_000, 55_000, slices=[part("status", "sold", **WORSE_ON)]), {},
     REJECT, ["SLICE_WORSE", "COMPARED"]),
    ("a guarded slice worse, but not surely", evidence(slices=[part("status", "sold", 54_000, 50_000, spread=0.05)]),
     {}, PROMOTE, ["BETTER"]),
    ("a guarded slice worse by less than 5 %", evidence(slices=[part("status", "sold", 52_000, 50_000, spread=0.001)]),
     {}, PROMOTE, ["BETTER"]),
    ("a small slice worse", evidence(slices=[part("status", "sold", **WORSE_ON, rows=1999)]), {}, PROMOTE, ["BETTER"]),
    ("a slice of known batches worse", evidence(slices=[part("status", "sold", **WORSE_ON, new_rows=0)]), {}, PROMOTE,
     ["BETTER"]),
    ("a price band worse", evidence(slices=[part("price_band", "0 to 100000", **WORSE_ON)]), {}, PROMOTE, ["BETTER"]),
    ("a state and a batch worse", evidence(slices=[part("state", "ohio", **WORSE_ON), part("batch", "2", **WORSE_ON)]),
     {}, PROMOTE, ["BETTER"]),
    ("a guarded slice worse, overall more than 10 % better",
     evidence(45_000, 55_000, slices=[part("status", "sold", **WORSE_ON)]), {}, PROMOTE, ["BETTER"]),
    ("a guarded slice without its test, overall more than 10 % better",
     evidence(45_000, 55_000, slices=[part("status", "sold", 1, 1) | {"ratio": None}]), {}, PROMOTE, ["BETTER"]),
    ("no slices at all, overall more than 10 % better", evidence(45_000, 55_000) | {"slices": []}, {}, PROMOTE,
     ["BETTER"]),
    ("batch 4 of the real data", BATCH_4, {}, PROMOTE, ["BETTER"]),
    ("golden rows differ", evidence(infrastructure=infrastructure(golden_equal=False, note="Two differ.")), {}, REJECT,
     ["GOLDEN_ROWS_DIFFER", "COMPARED"]),
    ("too slow", evidence(infrastructure=infrastructure(milliseconds_per_1000_rows=21)), {}, REJECT,
     ["TOO_SLOW", "COMPARED"]),
    ("too large", evidence(infrastructure=infrastructure(megabytes=513)), {}, REJECT, ["TOO_LARGE", "COMPARED"]),
    ("first model", evidence(52_000, None), {}, PROMOTE, ["FIRST_MODEL"]),
    ("first model, no better than the median", evidence(120_000, None), {}, REJECT, ["NOT_BETTER_THAN_MEDIAN"]),
    ("first model, too slow", evidence(52_000, None, infrastructure=infrastructure(milliseconds_per_1000_rows=99)), {},
     REJECT, ["TOO_SLOW"]),
    ("no champion, though there was one", evidence(52_000, None, alias_ever_set=True), {}, REJECT,
     ["EVIDENCE_INCOMPLETE"]),
    ("literal rule, a dollar better", evidence(54_999, 55_000), {"confidence": 0}, PROMOTE, ["LOWER_RMSE"]),
    ("literal rule, the same", evidence(55_000, 55_000), {"confidence": 0}, REJECT, ["NOT_LOWER_RMSE"]),
    ("literal rule, a slice and the mean error worse",
     evidence(54_999, 55_000, candidate_mae=90_000, slices=[part("status", "sold", **WORSE_ON)]), {"confidence": 0},
     PROMOTE, ["LOWER_RMSE"]),
    ("literal rule, too large", evidence(54_999, 55_000, infrastructure=infrastructure(megabytes=513)),
     {"confidence": 0}, REJECT, ["TOO_LARGE", "LOWER_RMSE"]),
    ("another least gain", evidence(52_000, 55_000), {"least_gain": 0.06}, HOLD, ["CANNOT_TELL"]),
    ("another size of slices", evidence(slices=[part("status", "sold", **WORSE_ON, rows=1000)]), {"slice_rows": 1000},
     REJECT, ["SLICE_WORSE", "COMPARED"]),
    ("the least size of slices", evidence(slices=[part("status", "sold", **WORSE_ON, rows=PAIRED_ROWS)]),
     {"slice_rows": PAIRED_ROWS}, REJECT, ["SLICE_WORSE", "COMPARED"]),
    ("nothing", {}, {}, REJECT, ["EVIDENCE_INCOMPLETE"]),
    ("the candidate's RMSE not a number", evidence(candidate=52_000) | {
        "candidate": evidence()["candidate"] | {"metrics": metrics(None)}}, {}, REJECT, ["EVIDENCE_INCOMPLETE"]),
    ("the champion not scored", evidence() | {
        "champion": evidence()["champion"] | {"metrics": metrics(None)}, "gain": None}, {}, REJECT,
     ["EVIDENCE_INCOMPLETE"]),
    ("no gain measured", evidence() | {"gain": None}, {}, REJECT, ["EVIDENCE_INCOMPLETE"]),
    ("a guarded slice without its test", evidence(slices=[part("status", "sold", 1, 1) | {"ratio": None}]), {}, REJECT,
     ["EVIDENCE_INCOMPLETE"]),
    ("no slices by kind of sale", evidence() | {"slices": [part("zip_seen", "yes", 1, 1)]}, {}, REJECT,
     ["EVIDENCE_INCOMPLETE"]),
    ("infinity", evidence() | {"baseline": metrics(float("inf"))}, {}, REJECT, ["EVIDENCE_INCOMPLETE"]),
    ("evidence of another time", evidence(schema_version=2), {}, REJECT, ["EVIDENCE_INCOMPLETE"]),
]  # fmt: skip


@pytest.mark.parametrize(("found", "policy", "verdict", "expected"), [case[1:] for case in CASES],
                         ids=[case[0] for case in CASES])  # fmt: skip
def test_case(found: dict[str, Any], policy: dict[str, Any], verdict: str, expected: list[str]) -> None:
    decided = decide(found, read_policy(policy))
    assert (decided.verdict, codes(decided)) == (verdict, expected)
    assert all(reason["sentence"].endswith((".", "}")) for reason in decided.reasons)


def test_a_promotion_says_by_how_much_and_what_was_asked_for() -> None:
    decided = decide(evidence(52_000, 55_000), DEFAULT)
    assert decided.reasons[0]["sentence"] == (
        "RMSE falls from $55,000 to $52,000 on the same 100,000 rows; the gain of $3,000 is at least $2,706, above the "
        "$275 asked for."
    )
    assert decided.report["low"] == pytest.approx(3000 - 1.96 * 150, abs=1)
    assert decided.policy == DEFAULT.model_dump()


def test_a_hold_says_what_the_rows_could_have_shown() -> None:
    report = decide(evidence(54_900, 55_000), DEFAULT).report
    smallest = report["smallest_detectable"]
    assert smallest == pytest.approx(275 + 1.96 * 150, abs=1)
    assert decide(evidence(55_000 - smallest - 1, 55_000), DEFAULT).verdict == PROMOTE
    assert decide(evidence(55_000 - smallest + 1, 55_000), DEFAULT).verdict == HOLD


def test_the_first_model_is_said_to_be_the_first() -> None:
    sentence = decide(evidence(52_000, None), DEFAULT).reasons[0]["sentence"]
    assert "This is the first model" in sentence
    assert "$120,000" in sentence


def test_what_is_missing_is_named() -> None:
    found = evidence()
    del found["noise_floor"]
    assert "noise_floor" in decide(found, DEFAULT).reasons[0]["sentence"]


def paths(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every key of nested evidence that cannot be left out."""
    if isinstance(value, Mapping):
        for key, held in value.items():
            if key not in {"note", "notes", "previous"}:
                yield (*before, key)
            yield from paths(held, (*before, key))
    elif isinstance(value, list):
        for place, held in enumerate(value):
            yield from paths(held, (*before, place))


def without(found: dict[str, Any], path: tuple[Any, ...]) -> dict[str, Any]:
    changed = copy.deepcopy(found)
    holder = changed
    for key in path[:-1]:
        holder = holder[key]
    del holder[path[-1]]
    return changed


PROMOTED = evidence(52_000, 55_000, slices=[part("status", "sold", 48_000, 50_000)])


@pytest.mark.parametrize("path", list(paths(PROMOTED)), ids=str)
def test_any_missing_figure_fails_closed(path: tuple[Any, ...]) -> None:
    assert decide(PROMOTED, DEFAULT).verdict == PROMOTE
    decided = decide(without(PROMOTED, path), DEFAULT)
    assert (decided.verdict, codes(decided)) == (REJECT, ["EVIDENCE_INCOMPLETE"])


def decides(path: tuple[Any, ...], value: object) -> bool:
    """Tell whether a figure must be a number to promote: not what only tells, such as R² or a slice's own errors."""
    only_tells = path[-1] in {"r2", "mdape", "rmsle"} or path[0] == "slices" or path == ("baseline", "mae")
    return value is not None or not only_tells


TEXTS = frozenset({"by", "value", "split_version", "scope_version", "search_space", "uri"})
NOT_NUMBERS: list[tuple[tuple[Any, ...], object]] = [
    (path, value)
    for path in paths(PROMOTED)
    for value in (None, float("nan"), "much")
    if decides(path, value) and path[-1] not in TEXTS
]


@pytest.mark.parametrize(("path", "value"), NOT_NUMBERS, ids=str)
def test_any_figure_that_is_no_figure_fails_closed(path: tuple[Any, ...], value: object) -> None:
    changed = copy.deepcopy(PROMOTED)
    holder = changed
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    assert decide(changed, DEFAULT).verdict == REJECT


dollars = st.floats(1_000, 1_000_000)
spreads = st.floats(0, 20_000)
policies = st.builds(
    Policy, confidence=st.floats(0.01, 0.99), least_gain=st.floats(0, 0.2), noise_multiple=st.floats(0, 5)
)


@given(dollars, dollars, spreads, policies)
def test_swapping_the_two_never_promotes_both(one: float, other: float, spread: float, policy: Policy) -> None:
    there = decide(evidence(one, other, spread=spread), policy).verdict
    back = decide(evidence(other, one, spread=spread), policy).verdict
    if there == PROMOTE:
        assert back == REJECT
    assert (there, back) != (REJECT, REJECT)


@given(dollars, dollars, spreads, policies)
def test_a_better_candidate_is_never_judged_worse(one: float, champion: float, spread: float, policy: Policy) -> None:
    rank = {REJECT: 0, HOLD: 1, PROMOTE: 2}
    worse, better = (decide(evidence(rmse, champion, spread=spread), policy).verdict for rmse in (one, one * 0.9))
    assert rank[better] >= rank[worse]


@given(dollars, dollars, spreads, st.floats(0.5, 0.99), st.floats(0, 0.009))
def test_more_confidence_never_promotes_more(
    one: float, champion: float, spread: float, confidence: float, more: float
) -> None:
    less_sure, surer = (Policy(confidence=level) for level in (confidence, confidence + more))
    found = evidence(one, champion, spread=spread)
    if decide(found, surer).verdict == PROMOTE:
        assert decide(found, less_sure).verdict == PROMOTE


@given(st.dictionaries(st.text(), st.one_of(st.none(), st.integers(), st.floats(), st.text(), st.booleans())))
def test_anything_else_is_rejected_with_a_sentence(found: dict[str, Any]) -> None:
    decided = decide(found, DEFAULT)
    assert decided.verdict == REJECT
    assert decided.reasons[0]["sentence"]


def test_a_verdict_can_be_decided_again() -> None:
    found = copy.deepcopy(BATCH_4)
    first = decide(found, DEFAULT)
    assert decide(found, Policy.model_validate(first.policy)) == first
    assert found == BATCH_4


@pytest.mark.parametrize(
    ("given_policy", "name"),
    [({"confidense": 0.9}, "confidense"), ({"confidence": 1}, "confidence"), ({"confidence": -1}, "confidence"),
     ({"slice_rows": PAIRED_ROWS - 1}, "slice_rows"), ({"least_gain": "much"}, "least_gain"),
     ({"mae_tolerance": float("nan")}, "mae_tolerance")],
)  # fmt: skip
def test_a_policy_with_a_fault_is_refused_by_name(given_policy: dict[str, Any], name: str) -> None:
    with pytest.raises(SettingRefused, match=f"APPRAISER_PROMOTE_POLICY: {name}"):
        read_policy(given_policy)


@pytest.mark.parametrize("name", Policy.model_fields)
def test_every_threshold_says_what_it_means(name: str) -> None:
    description = Policy.model_fields[name].description
    assert description
    assert len(description.split()) > 3
