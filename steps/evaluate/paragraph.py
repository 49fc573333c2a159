"""The explanation in plain words: every sentence carries its numbers, and every number is one of the explanation's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from steps.common.explanation import (
    Advantage,
    Attributions,
    ErrorChange,
    Estimate,
    Explanation,
    GainSplit,
    Novelty,
    Rows,
    Table,
    Term,
)
from steps.common.listing import Listing

_NAMED: Final = 3
_TITLES: Final = {"prev_sold_year": "year of the previous sale", "prev_sold_month": "month of the previous sale"}
_NEVER_MET: Final = {"zip_code": "in zip codes", "city": "in cities", "brokered_by": "by brokers"}
# What each term is called, and its verbs: the error up, down.
_TERMS: Final = {
    "outside": ("Houses outside anything it was trained on", "raise", "lower"),
    "houses": ("Another mix of houses, each of a kind it knows,", "raises", "lowers"),
    "prices": ("Other prices for like houses", "raise", "lower"),
    "houses_or_prices": ("Other houses or other prices within what it knows", "raise", "lower"),
}


def sentences(found: Explanation) -> tuple[str, ...]:
    """Return the paragraph, sentence by sentence, from the data alone; what is missing is for the notes to say."""
    told: list[str] = []
    if found.table:
        told += _table(found, found.table)
    if found.error_change:
        told += _error_change(found.error_change)
    if found.gain_split:
        told += _gain_split(found.gain_split)
    if found.attributions and found.attributions.features:
        told.append(_attributions(found.attributions))
    return tuple(told)


def _table(found: Explanation, table: Table) -> Iterator[str]:
    rmse = {(cell.model, cell.on): _dollars(cell.rmse.point) for cell in table.cells}
    for gain in table.gains:
        candidate, champion = rmse["candidate", gain.on], rmse["champion", gain.on]
        if gain.on == "all":
            where = f"Over all {gain.rows:,} test rows the candidate, version {found.candidate_version}, has an RMSE of"
            both = f"{candidate} where the champion, version {found.champion_version}, has {champion}"
        else:
            where = f"On the {gain.rows:,} of them that are {_side(found, gain)}"
            both = f"the candidate's RMSE is {candidate}, the champion's {champion}"
        yield f"{where} {both}: {_difference(gain, table.confidence)}."


def _side(found: Explanation, gain: Advantage) -> str:
    batches = batches_of(found, gain.on)
    if found.retrained:
        return f"of {batches}"
    return f"new to the champion ({batches})" if gain.on == "new" else f"of batches it was trained on ({batches})"


def _difference(gain: Advantage, confidence: float) -> str:
    if not gain.rmse.clear:
        return f"no difference that stands clear of chance {_around(gain.rmse, confidence)}"
    better = gain.rmse.point > 0
    return f"{_size(gain.rmse)} {'less' if better else 'more'} {_around(gain.rmse, confidence, positive=better)}"


def _error_change(change: ErrorChange) -> Iterator[str]:
    up = change.rmse.point >= 0
    moved = f"from {_dollars(change.before_rmse)} to {_dollars(change.new_rmse)}"
    around = _around(change.rmse, change.confidence, positive=up)
    first = "From these to the others the champion's own RMSE"
    if change.real:
        yield f"{first} {'rises' if up else 'falls'} {moved}, by {_size(change.rmse)} {around}."
    else:
        yield f"{first} goes {moved}, no change that stands clear of chance {around}."
    for term in sorted(change.terms, key=_smallness):
        yield _term(term, change)
    if "houses" not in {term.name for term in change.terms} and change.common_properties:
        yield (
            "What is due to other houses and what to other prices is not identifiable: "
            f"{change.common_properties:,} of the new houses have their like before, which count as "
            f"{change.effective_properties:,.0f} when re-weighted; {change.needed_properties:,} of either are needed."
        )


def _smallness(term: Term) -> float:
    return -abs(term.mean_squared.point)


def _term(term: Term, change: ErrorChange) -> str:
    name, raises, lowers = _TERMS[term.name]
    if term.name == "outside" and not change.outside_rows:
        return f"None of the new rows ({change.outside_share:.1%}) is outside anything it was trained on."
    details = _details(term, change)
    if term.name == "outside" and change.few_outside:
        return f"{name} are fewer than {change.needed_outside_rows:,} rows, too few to tell what they change{details}."
    up = term.rmse.point >= 0
    around = _around(term.rmse, change.confidence, positive=up)
    if not term.real:
        return f"{name} explain{'s' * raises.endswith('s')} nothing that stands clear of chance {around}{details}."
    return f"{name} {raises if up else lowers} it by {_size(term.rmse)} {around}{details}."


def _details(term: Term, change: ErrorChange) -> str:
    factor = {found.of: f"{found.factor:.2f}" for found in change.factors}
    if term.name == "outside":
        return (
            f": {change.outside_rows:,} of the new rows, {change.outside_share:.1%}{_novelties(change)}; in the median "
            f"they cost {factor['outside']} times what it says, and it was never told what such houses cost"
        )
    if term.name == "houses":
        return ""
    return (
        f": in the median they cost {factor['common']} times what it says, where before it was {factor['before']} times"
    )


def _novelties(change: ErrorChange) -> str:
    """Name what accounts for the houses outside: fields by their rows until that is all, then what else has a name."""
    told: list[Novelty] = []
    for one in change.novelties:
        named = sum(known.rows for known in told) + change.rarer_rows
        enough = len(told) >= _NAMED or named >= change.outside_rows
        if not enough or (one.value is not None and len(told) < 2 * _NAMED):
            told.append(one)
    which = [f"{one.rows:,} {_novelty(one)}" for one in told]
    if change.rarer_rows:
        which.append(f"{change.rarer_rows:,} of a kind at least {change.rarer_ratio:.0f} times rarer before")
    return f", of them {', '.join(which)}" if which else ""


def _novelty(one: Novelty) -> str:
    title = _TITLES.get(one.field) or str(Listing.model_fields[one.field].title).lower()
    if one.value is not None:
        return f"with the new {title} {one.value}"
    if one.low is not None and one.high is not None:
        return f"with {title} outside {_plain(one.low)} to {_plain(one.high)}"
    return f"{_NEVER_MET[one.field]} never met before"


def _plain(number: float) -> str:
    """Return a number without an exponent and without zeros that say nothing: a year is no 2,022.00."""
    return f"{number:.2f}".rstrip("0").rstrip(".")


def _gain_split(split: GainSplit) -> Iterator[str]:
    rows = {fit.data: fit.rows for fit in split.fits}
    around = _around(split.sample_gain, split.confidence, positive=split.sample_gain.point >= 0)
    parts = [
        ("the data", split.data, split.data_real, split.same_data),
        ("the parameters", split.parameters, split.parameters_real, split.same_parameters),
    ]
    parts.sort(key=lambda part: -abs(part[1].point))
    told = " and ".join(_part(name, part, same, split.confidence) for name, part, _, same in parts)
    way = "less" if split.sample_gain.point >= 0 else "more"
    yield (
        f"Fitted anew on a sample of the same houses, {rows['candidate']:,} rows of the candidate's batches and "
        f"{rows['champion']:,} of the champion's, the RMSE is {_size(split.sample_gain)} {way} {around}: {told}."
    )
    real = [name for name, _, is_real, _ in parts if is_real]
    beyond = f"beyond that is the part of {' and that of '.join(real)}" if real else "neither part is beyond that"
    yield f"By luck alone two such fits differ by up to {_dollars(split.luck)}; {beyond}."


def _part(name: str, part: Estimate, same: bool, confidence: float) -> str:
    if same:
        return f"{name} did not change ({_dollars(part.point)})"
    saved = part.point >= 0
    return f"{name} {'took off' if saved else 'added'} {_size(part)} {_around(part, confidence, positive=saved)}"


def _attributions(found: Attributions) -> str:
    changed = [one for one in found.features if one.stands_out][:_NAMED]
    if not changed:
        first = found.features[0]
        return (
            f"No feature moves prices otherwise than luck allows: {first.feature} changed most, from "
            f"{first.champion:.3f} to {first.candidate:.3f} in mean |SHAP| of log price on {found.rows:,} test rows, "
            f"and luck alone makes {first.luck:.3f}."
        )
    told = ", ".join(
        f"{one.feature} {'more' if one.change.point > 0 else 'less'} ({one.candidate:.3f} after {one.champion:.3f}, "
        f"luck {one.luck:.3f})"
        for one in changed
    )
    return f"In mean |SHAP| of log price, on {found.rows:,} test rows, other features move the price now: {told}."


def batches_of(found: Explanation, on: Rows) -> str:
    """Return which batches the test rows on one side are of."""
    side = found.new if on == "new" else found.before
    numbers: Sequence[int] = side.batches if side else ()
    if not numbers:
        return "no batch"
    *others, last = map(str, numbers)
    return f"batches {', '.join(others)} and {last}" if others else f"batch {last}"


def _around(part: Estimate, confidence: float, *, positive: bool = True) -> str:
    low, high = (part.low, part.high) if positive else (-part.high, -part.low)
    return f"({confidence:.0%} interval {_dollars(low)} to {_dollars(high)})"


def _size(part: Estimate) -> str:
    return _dollars(abs(part.point))


def _dollars(amount: float) -> str:
    rounded = round(amount)
    return f"{'-' if rounded < 0 else ''}${abs(rounded):,}"
