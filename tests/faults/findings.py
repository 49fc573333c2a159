"""Holds what the steps said of a scenario against what was planted, and says what of it is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from local.synthetic_market import Market, draw_listings
from steps.common.bundle import Bundle
from steps.common.evidence import Evidence
from steps.common.explanation import ErrorChange, Explanation
from tests.faults.laboratory import Judged, Laboratory, Trained
from tests.faults.market import BASE, columns_of
from tests.faults.scenarios import NEW_STATE, Scenario

# Rows on which the champion's expected error is known to about half a per cent.
_KNOWN_ROWS: Final = 200_000
# How far from the planted size the found one may be.
_TOLERANCE: Final = 0.20
# A gain below this share of RMSE is none the policy asks for, whatever the rows.
_LEAST_GAIN: Final = 0.005


@dataclass(frozen=True)
class Finding:
    """One line of the laboratory's table; `wrong` is empty where everything came out as planted."""

    scenario: str
    planted: str
    found: str
    verdict: str
    wrong: tuple[str, ...]


def examine(laboratory: Laboratory, scenario: Scenario) -> Finding:
    """Run a scenario unforced, and forced where it asks for that; return what came out beside what was planted."""
    wrong: list[str] = []
    verdicts, found = [], []
    if not scenario.weak_champion:
        judged = laboratory.judge(scenario)
        verdicts.append(judged.verdict or f"fetch: exit {judged.exit_code}")
        wrong += _of_verdict(scenario, judged)
        found.append(judged.refusal or str(judged.reasons[0]["code"]))
    planted = scenario.planted
    if scenario.trained:
        trained = laboratory.train(scenario)
        verdicts.append(trained.promote)
        champion = laboratory.champion_bundle
        if scenario.largest is not None:
            size = planted_change(scenario, champion)
            planted = f"{planted} ({_dollars(size)}²)" if size else planted
            found.append(_told(trained.explanation))
            wrong += _of_change(scenario, trained.explanation.error_change, size)
        wrong += _of_training(scenario, trained)
        if scenario.market is BASE and trained.promote == "PROMOTE":
            gain = true_gain(champion, trained.candidate)
            found.append(f"truly better by {gain:.1%}")
            wrong += [] if gain >= _LEAST_GAIN else [f"promoted, though truly better by {gain:.2%} only"]
        if scenario.weak_champion:
            found.append(_split(trained.explanation))
    return Finding(scenario.name, planted, " · ".join(found), " · ".join(verdicts), tuple(wrong))


def planted_change(scenario: Scenario, champion: Bundle) -> float:
    """Return the change of the champion's expected squared error (dollars²) that a scenario plants, from its market.

    For houses outside anything known only their part counts: the term of the others is theirs.
    """
    if scenario.market is None or scenario.largest in {None, "none"}:
        return 0.0
    before = _squared(BASE, champion)[0].mean()
    squared, state = _squared(scenario.market, champion)
    if scenario.largest == "outside":
        new = state == NEW_STATE
        return float(new.mean() * (squared[new].mean() - before))
    return float(squared.mean() - before)


def true_gain(champion: Bundle, candidate: Bundle) -> float:
    """Return by what share of RMSE a candidate is better on the base market itself, not on some draw of it."""
    before, after = (float(np.sqrt(_squared(BASE, one)[0].mean())) for one in (champion, candidate))
    return 1 - after / before


def _squared(market: Market, champion: Bundle) -> tuple[np.ndarray[Any, np.dtype[np.float64]], Any]:
    table = draw_listings(market, np.random.default_rng(99), _KNOWN_ROWS)
    return (champion.prices(columns_of(table)) - table["price"]) ** 2, table["state"]


def _of_verdict(scenario: Scenario, judged: Judged) -> list[str]:
    wrong = []
    codes = {reason["code"] for reason in judged.reasons}
    wanted = scenario.verdict
    if wanted == "BY PROBE":
        wanted = "TRAIN" if "RETRAIN_PAYS" in codes else "SKIP"
    if judged.verdict != wanted:
        wrong.append(f"the verdict is {judged.verdict}, not {wanted}")
    wrong += [f"no reason {code}" for code in scenario.codes if code not in codes]
    told = " ".join([judged.refusal, *(f"{one['code']} {one['about']} {one['sentence']}" for one in judged.reasons)])
    if scenario.named and scenario.named not in told:
        wrong.append(f"{scenario.named} is not named")
    if judged.both_parts:
        wrong.append(f"{judged.both_parts} houses are in both parts")
    return wrong


def _of_change(scenario: Scenario, change: ErrorChange | None, size: float) -> list[str]:
    if change is None:
        return ["the change of the champion's error was not measured"]
    real = [term.name for term in change.terms if term.real]
    if scenario.largest == "none":
        return [f"{name} is called real" for name in real]
    largest = change.largest
    if largest.name != scenario.largest or not largest.real:
        return [f"the largest term is {largest.name}{'' if largest.real else ', not called real'}"]
    found = largest.mean_squared.point
    if abs(found - size) > _TOLERANCE * abs(size):
        return [f"{largest.name} is {found / size:.0%} of what was planted"]
    return []


def _of_training(scenario: Scenario, trained: Trained) -> list[str]:
    wrong = []
    if scenario.promote and trained.promote not in scenario.promote:
        wrong.append(f"promote said {trained.promote}, not {' or '.join(scenario.promote)}: {trained.sentence}")
    if scenario.name == "new state" and not _slice_improves(trained.evidence, NEW_STATE.lower()):
        wrong.append(f"the candidate is no better in {NEW_STATE}")
    if scenario.weak_champion:
        split = trained.explanation.gain_split
        if split is None or not split.parameters_real or split.data_real or not split.same_data:
            wrong.append("the gain is not ascribed to tuning alone")
    return wrong


def _slice_improves(evidence: Evidence, state: str) -> bool:
    for part in evidence.slices:
        if (part.by, part.value) == ("state", state) and part.champion and part.champion.rmse and part.candidate.rmse:
            return part.candidate.rmse < (1 - _LEAST_GAIN) * part.champion.rmse
    return False


def _told(explanation: Explanation) -> str:
    change = explanation.error_change
    if change is None:
        return "not measured"
    if not any(term.real for term in change.terms):
        return "no term real"
    return f"{change.largest.name} {_dollars(change.largest.mean_squared.point)}²"


def _split(explanation: Explanation) -> str:
    split = explanation.gain_split
    if split is None:
        return "the gain was not split"
    return (
        f"of a gain of ${split.gain:,.0f} in RMSE: tuning ${split.parameters.point:,.0f}, data ${split.data.point:,.0f}"
    )


def _dollars(squared: float) -> str:
    """Return a mean squared error as the root's dollars, its sign before it."""
    return f"{'-' if squared < 0 else ''}${abs(squared) ** 0.5:,.0f}"
