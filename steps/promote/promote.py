"""Whether a candidate is to be served: decided from the evidence and the policy alone.

No clock, no database, no alias: the same evidence and policy always give the same verdict, so that a verdict of last
year can be decided again. Every reason has a code, a plain sentence with its figures, and the figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from steps.common.evidence import GUARDED, Distribution, Evidence, Metrics, Slice
from steps.common.store.ledger import Verdict
from steps.promote.policy import Policy
from steps.promote.reason import Code, Reason, because

PROMOTE: Final = "PROMOTE"
HOLD: Final = "HOLD"
REJECT: Final = "REJECT"


class Incomplete(Exception):
    """The evidence lacks a figure that the decision needs."""


def decide(evidence: Mapping[str, Any], policy: Policy) -> Verdict:
    """Return PROMOTE, HOLD or REJECT with ordered reasons; evidence that is missing or incomplete is REJECT.

    PROMOTE: the lower bound of the paired gain in RMSE exceeds both the least gain worth a change and the noise of
    training, and no guard fails. REJECT: worse beyond that noise, or a guard fails. HOLD: cannot tell.
    """
    try:
        found = Evidence.model_validate(evidence)
        verdict, reasons, figures = _decide(found, policy)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, fault["loc"])) or "evidence"
        verdict, reasons, figures = REJECT, [_incomplete(f"{where}: {fault['msg']}.")], {}
    except Incomplete as missing:
        verdict, reasons, figures = REJECT, [_incomplete(" ".join([f"{missing}.", *found.notes]))], {}
    return Verdict(verdict, reasons, figures, policy.model_dump(mode="json"))


def _incomplete(what: str) -> Reason:
    sentence = f"The evidence is missing or incomplete, so nothing is promoted: {what}"
    return because(Code.EVIDENCE_INCOMPLETE, sentence)


def _decide(found: Evidence, policy: Policy) -> tuple[str, list[Reason], dict[str, Any]]:
    failures = _infrastructure(found, policy)
    baseline = _rmse(found.baseline, "median-price baseline")
    if found.champion is None:
        return _first_model(found, baseline, failures)
    candidate, champion = _rmse(found.candidate.metrics, "candidate"), _rmse(found.champion.metrics, "champion")
    if policy.confidence == 0:
        return _literal(candidate, champion, failures)
    figures = _figures(found, policy, candidate, champion)
    failures += [*_mean_error(found, policy), *_slices(found, policy, figures)]
    compared = [_compared(figures)]
    if figures["high"] < -figures["noise"]:
        return REJECT, [_worse(figures), *failures, *compared], figures
    if failures:
        return REJECT, [*failures, *compared], figures
    if figures["gain"] > 0 and figures["low"] > figures["threshold"]:
        return PROMOTE, [_better(figures)], figures
    return HOLD, [_cannot_tell(figures)], figures


def _rmse(metrics: Metrics, whose: str) -> float:
    if metrics.rmse is None:
        raise Incomplete(f"the {whose}'s RMSE could not be computed")
    return metrics.rmse


def _infrastructure(found: Evidence, policy: Policy) -> list[Reason]:
    check, failures = found.infrastructure, []
    if not check.golden_equal:
        sentence = (
            f"Loaded as serving loads it, the version does not answer its golden rows as in training. {check.note}"
        )
        failures.append(because(Code.GOLDEN_ROWS_DIFFER, sentence))
    if check.milliseconds_per_1000_rows > policy.milliseconds_per_1000_rows:
        took, budget = check.milliseconds_per_1000_rows, policy.milliseconds_per_1000_rows
        sentence = f"1,000 prices take {took:.1f} ms; the budget is {budget:.1f} ms."
        failures.append(because(Code.TOO_SLOW, sentence, measured=took, threshold=budget))
    if check.megabytes > policy.megabytes:
        sentence = f"Loaded, the version takes {check.megabytes:.0f} MB; the budget is {policy.megabytes:.0f} MB."
        failures.append(because(Code.TOO_LARGE, sentence, measured=check.megabytes, threshold=policy.megabytes))
    return failures


def _first_model(found: Evidence, baseline: float, failures: list[Reason]) -> tuple[str, list[Reason], dict[str, Any]]:
    if found.alias_ever_set:
        raise Incomplete("there was a champion before, and it was not measured")
    candidate = _rmse(found.candidate.metrics, "candidate")
    figures = {"candidate_rmse": candidate, "baseline_rmse": baseline}
    figure = f"RMSE {dollars(candidate)}, against {dollars(baseline)} of always saying the median price"
    if not candidate < baseline:
        sentence = f"The first model is no better than the median price: {figure}."
        failures.append(because(Code.NOT_BETTER_THAN_MEDIAN, sentence, **figures))
    if failures:
        return REJECT, failures, figures
    sentence = f"This is the first model: there was none to compare with. On {found.rows:,} test rows: {figure}."
    return PROMOTE, [because(Code.FIRST_MODEL, sentence, rows=found.rows, **figures)], figures


def _literal(candidate: float, champion: float, failures: list[Reason]) -> tuple[str, list[Reason], dict[str, Any]]:
    figures = {"candidate_rmse": candidate, "champion_rmse": champion, "gain": champion - candidate}
    better = candidate < champion
    sentence = (
        f"Literal rule (confidence 0): RMSE {dollars(candidate)} is {'' if better else 'not '}lower than the "
        f"champion's {dollars(champion)}."
    )
    reason = because(Code.LOWER_RMSE if better else Code.NOT_LOWER_RMSE, sentence, **figures)
    return (PROMOTE if better and not failures else REJECT), [*failures, reason], figures


def _figures(found: Evidence, policy: Policy, candidate: float, champion: float) -> dict[str, Any]:
    if found.gain is None:
        raise Incomplete("the gain in RMSE over the champion was not measured")
    low = found.gain.distribution.quantile((1 - policy.confidence) / 2)
    high = found.gain.distribution.quantile((1 + policy.confidence) / 2)
    # The floor is a share of the error; the better model's error, so that swapping the two changes nothing.
    noise = policy.noise_multiple * found.noise_floor.share * min(candidate, champion)
    threshold = max(policy.least_gain * champion, noise)
    return {
        "rows": found.rows,
        "candidate_rmse": candidate,
        "champion_rmse": champion,
        "gain": found.gain.point,
        "low": low,
        "high": high,
        "noise": noise,
        "threshold": threshold,
        # A gain of this size would have put the lower bound just at the threshold.
        "smallest_detectable": threshold + found.gain.point - low,
        "guard_lifted": found.gain.point > policy.guard_lifted_by * champion,
    }


def _mean_error(found: Evidence, policy: Policy) -> list[Reason]:
    candidate, champion = found.candidate.metrics.mae, found.champion.metrics.mae if found.champion else None
    if candidate is None or champion is None:
        raise Incomplete("a mean absolute error could not be computed")
    allowed = (1 + policy.mae_tolerance) * champion
    if candidate <= allowed:
        return []
    sentence = (
        f"The mean absolute error is {dollars(candidate)}, more than {policy.mae_tolerance:.1%} above the champion's "
        f"{dollars(champion)}."
    )
    return [
        because(
            Code.MAE_WORSE, sentence, measured=candidate, threshold=allowed, champion=champion,
            tolerance=policy.mae_tolerance,
        )
    ]  # fmt: skip


def _slices(found: Evidence, policy: Policy, figures: dict[str, Any]) -> list[Reason]:
    """Return a reason for each guarded slice that is worse beyond the tolerance, by Holm's step-down procedure.

    A slice wholly in batches the champion was trained on is evidence only: fitted on a truncated range of prices, it
    looks better on its old range than any honest successor. Where the guard is lifted, no slice is looked at.
    Raises Incomplete where the replicates are too few to tell.
    """
    figures["guarded"] = []
    if figures["guard_lifted"]:
        return []
    missing = GUARDED - {part.by for part in found.slices}
    if missing:
        raise Incomplete(f"there are no slices by {', '.join(sorted(missing))}")
    guarded = [part for part in found.slices if part.by in GUARDED and part.rows >= policy.slice_rows and part.new_rows]
    tested = sorted(((_ratio(part).share_up_to(1 + policy.slice_tolerance), part) for part in guarded), key=_by_p)
    figures["guarded"] = [{"by": part.by, "value": part.value, "p": p} for p, part in tested]
    failures: list[Reason] = []
    for rank, (p, part) in enumerate(tested):
        limit = (1 - policy.confidence) / (len(tested) - rank)
        if p > limit:
            _refuse_too_coarse(tested[rank:], limit, f"confidence {policy.confidence} over {len(tested)} slices")
            break
        failures.append(_slice_worse(part, p, policy))
    return failures


def _refuse_too_coarse(passing: Sequence[tuple[float, Slice]], limit: float, asked: str) -> None:
    """Raise Incomplete for a slice whose p is the least that its replicates can show, and still above its limit."""
    # Taken as passing, it switched the guard off: with enough confidence, or slices, no slice could ever fail. Taken as
    # failing, it would be said to be worse with a confidence that nobody has shown. A p above the least is an estimate.
    for p, part in passing:
        ratio = _ratio(part)
        if p <= ratio.least_share:
            raise Incomplete(
                f"{asked} asks for p up to {limit:.2g}, and {ratio.replicates:,} replicates show no less than {p:.2g}, "
                f"as on {part.by} {part.value}"
            )


def _by_p(tested: tuple[float, Slice]) -> tuple[float, str, str]:
    return tested[0], tested[1].by, tested[1].value


def _ratio(part: Slice) -> Distribution:
    if part.ratio is None:
        raise Incomplete(f"the slice {part.by} {part.value} has no paired test{': ' + part.note if part.note else ''}")
    return part.ratio


def _slice_worse(part: Slice, p: float, policy: Policy) -> Reason:
    middle = _ratio(part).quantile(0.5)
    sentence = (
        f"On {part.by} {part.value} ({part.rows:,} rows) RMSE is {middle - 1:.1%} above the champion's, beyond the "
        f"{policy.slice_tolerance:.0%} allowed (p {p:.4f})."
    )
    return because(
        Code.SLICE_WORSE, sentence, by=part.by, value=part.value, rows=part.rows, measured=middle, p=p,
        tolerance=policy.slice_tolerance,
    )  # fmt: skip


def _compared(figures: Mapping[str, Any]) -> Reason:
    sentence = (
        f"RMSE {dollars(figures['candidate_rmse'])} against the champion's {dollars(figures['champion_rmse'])} on "
        f"the same {figures['rows']:,} rows: gain {dollars(figures['gain'])}, {_interval(figures)}."
    )
    return because(Code.COMPARED, sentence, **_paired(figures))


def _better(figures: Mapping[str, Any]) -> Reason:
    sentence = (
        f"RMSE falls from {dollars(figures['champion_rmse'])} to {dollars(figures['candidate_rmse'])} on the same "
        f"{figures['rows']:,} rows; the gain of {dollars(figures['gain'])} is at least {dollars(figures['low'])}, "
        f"above the {dollars(figures['threshold'])} asked for."
    )
    return because(Code.BETTER, sentence, measured=figures["low"], threshold=figures["threshold"], **_paired(figures))


def _worse(figures: Mapping[str, Any]) -> Reason:
    sentence = (
        f"RMSE rises from {dollars(figures['champion_rmse'])} to {dollars(figures['candidate_rmse'])}, by at least "
        f"{dollars(-figures['high'])}: more than rows or training by chance explain ({dollars(figures['noise'])})."
    )
    return because(Code.WORSE, sentence, measured=figures["high"], threshold=-figures["noise"], **_paired(figures))


def _cannot_tell(figures: Mapping[str, Any]) -> Reason:
    sentence = (
        f"Cannot tell: the gain in RMSE is {dollars(figures['gain'])}, {_interval(figures)}, and "
        f"{dollars(figures['threshold'])} is asked for. The smallest gain these {figures['rows']:,} rows could have "
        f"shown is {dollars(figures['smallest_detectable'])}."
    )
    return because(
        Code.CANNOT_TELL, sentence, measured=figures["low"], threshold=figures["threshold"],
        smallest_detectable=figures["smallest_detectable"], **_paired(figures),
    )  # fmt: skip


def _paired(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {name: figures[name] for name in ("rows", "candidate_rmse", "champion_rmse", "gain", "low", "high")}


def _interval(figures: Mapping[str, Any]) -> str:
    return f"between {dollars(figures['low'])} and {dollars(figures['high'])}"


def dollars(amount: float) -> str:
    """Return an amount as it stands in sentences."""
    return f"{'-' if amount < 0 else ''}${abs(amount):,.0f}"
