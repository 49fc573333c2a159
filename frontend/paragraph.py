"""Why two versions differ, in words: in English the ledger's own paragraph, else built from its data.

The sentences are those of steps/evaluate/paragraph.py, figure by figure; a test holds the two side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from frontend.formats import money, number, percent
from frontend.texts import LEDGER_LANGUAGE, known, language, text

Json = Mapping[str, Any]

_NAMED: Final = 3


def sentences(found: Json) -> list[str]:
    """Return the paragraph of an explanation in the language chosen."""
    return list(found["paragraph"]) if language() == LEDGER_LANGUAGE else list(_built(found))


def _built(found: Json) -> Iterator[str]:
    """Yield the sentences of each part there is; why one is not there, the notes say in the ledger's words."""
    if found.get("table"):
        yield from _table(found, found["table"])
    if found.get("error_change"):
        yield from _error_change(found["error_change"])
    if found.get("gain_split"):
        yield from _gain_split(found["gain_split"])
    if found.get("attributions") and found["attributions"]["features"]:
        yield _attributions(found["attributions"])
    yield from found.get("notes", ())


def _table(found: Json, table: Json) -> Iterator[str]:
    rmse = {(cell["model"], cell["on"]): money(cell["rmse"]["point"]) for cell in table["cells"]}
    for gain in table["gains"]:
        figures = {
            "rows": number(gain["rows"]), "candidate_rmse": rmse["candidate", gain["on"]],
            "champion_rmse": rmse["champion", gain["on"]], "difference": _difference(gain["rmse"], table["confidence"]),
        }  # fmt: skip
        if gain["on"] == "all":
            versions = {"candidate": found["candidate_version"], "champion": found["champion_version"]}
            yield text("told.all", **figures, **versions)
        else:
            yield text("told.part", **figures, side=_side(found, gain["on"]))


def _side(found: Json, on: str) -> str:
    kind = "retrained" if found.get("retrained") else on
    return text(f"told.side_{kind}", batches=_batches((found.get(on) or {}).get("batches", ())))


def _batches(numbers: Sequence[int]) -> str:
    if not numbers:
        return text("told.no_batch")
    *others, last = map(str, numbers)
    return text("told.batches", others=", ".join(others), last=last) if others else text("told.batch", last=last)


def _difference(rmse: Json, confidence: float) -> str:
    if rmse["low"] <= 0 <= rmse["high"]:
        return text("told.no_difference", around=_around(rmse, confidence))
    better = rmse["point"] > 0
    return text("told.less" if better else "told.more", size=_size(rmse), around=_around(rmse, confidence, better))


def _error_change(change: Json) -> Iterator[str]:
    up = change["rmse"]["point"] >= 0
    moved = {
        "before": money(change["before_rmse"]), "new": money(change["new_rmse"]),
        "around": _around(change["rmse"], change["confidence"], up),
    }  # fmt: skip
    if change["real"]:
        yield text("told.rises" if up else "told.falls", size=_size(change["rmse"]), **moved)
    else:
        yield text("told.stays", **moved)
    for term in sorted(change["terms"], key=lambda one: -abs(one["mean_squared"]["point"])):
        yield _term(term, change)
    if "houses" not in {term["name"] for term in change["terms"]} and change["common_properties"]:
        yield text(
            "told.not_identifiable", common=number(change["common_properties"]),
            effective=number(change["effective_properties"]), needed=number(change["needed_properties"]),
        )  # fmt: skip


def _term(term: Json, change: Json) -> str:
    if term["name"] == "outside" and not change["outside_rows"]:
        return text("told.none_outside", share=percent(change["outside_share"]))
    needed = change.get("needed_outside_rows", 0)
    if term["name"] == "outside" and change["outside_rows"] < needed:
        return text("told.few_outside", needed=number(needed), details=_details("outside", change))
    up = term["rmse"]["point"] >= 0
    how = {
        "by": text(f"told.{term['name']}"), "around": _around(term["rmse"], change["confidence"], up),
        "details": _details(term["name"], change),
    }  # fmt: skip
    if not term["real"]:
        return text("told.unmoved", **how)
    return text("told.raised" if up else "told.lowered", size=_size(term["rmse"]), **how)


def _details(name: str, change: Json) -> str:
    factor = {one["of"]: number(one["factor"], 2) for one in change["factors"]}
    if name == "houses":
        return ""
    if name == "outside":
        return text(
            "told.outside_details", rows=number(change["outside_rows"]), share=percent(change["outside_share"]),
            novelties=_novelties(change), factor=factor["outside"],
        )  # fmt: skip
    return text("told.prices_details", common=factor["common"], before=factor["before"])


def _novelties(change: Json) -> str:
    """Name fields by their rows until that is all the houses outside, then what else has a name."""
    told: list[Json] = []
    for one in change["novelties"]:
        named = sum(known_one["rows"] for known_one in told) + change["rarer_rows"]
        enough = len(told) >= _NAMED or named >= change["outside_rows"]
        if not enough or (one.get("value") is not None and len(told) < 2 * _NAMED):
            told.append(one)
    which = [_novelty(one) for one in told]
    if change["rarer_rows"]:
        which.append(text("told.rarer", rows=number(change["rarer_rows"]), ratio=number(change["rarer_ratio"])))
    return text("told.novelties", which=", ".join(which)) if which else ""


def _novelty(one: Json) -> str:
    rows, field = number(one["rows"]), known("field", one["field"], known("feature", one["field"]))
    if one.get("value") is not None:
        return text("told.new_value", rows=rows, field=field, value=one["value"])
    if one.get("low") is not None and one.get("high") is not None:
        return text("told.out_of_range", rows=rows, field=field, low=_plain(one["low"]), high=_plain(one["high"]))
    return text(f"told.never_{one['field']}", rows=rows)


def _plain(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _gain_split(split: Json) -> Iterator[str]:
    rows = {fit["data"]: number(fit["rows"]) for fit in split["fits"]}
    gain, confidence = split["sample_gain"], split["confidence"]
    less = gain["point"] >= 0
    parts = sorted(("data", "parameters"), key=lambda name: -abs(split[name]["point"]))
    first, second = (_part(name, split, confidence) for name in parts)
    yield text(
        "told.refitted_less" if less else "told.refitted_more", candidate=rows["candidate"],
        champion=rows["champion"], size=_size(gain), around=_around(gain, confidence, less),
        parts=text("told.and", first=first, second=second),
    )  # fmt: skip
    real = [text(f"told.the_{name}") for name in parts if split[f"{name}_real"]]
    beyond = "none" if not real else "both" if len(real) > 1 else "one"
    yield text("told.luck", luck=money(split["luck"]), beyond=text(f"told.beyond_{beyond}", name=", ".join(real)))


def _part(name: str, split: Json, confidence: float) -> str:
    part, named = split[name], text(f"told.the_{name}")
    if split[f"same_{name}"]:
        return text("told.same", name=named, point=money(part["point"]))
    saved = part["point"] >= 0
    around = _around(part, confidence, saved)
    return text("told.took_off" if saved else "told.added", name=named, size=_size(part), around=around)


def _attributions(found: Json) -> str:
    changed = [one for one in found["features"] if one["stands_out"]][:_NAMED]
    rows = number(found["rows"])
    if not changed:
        return text("told.no_feature", rows=rows, **_moved(found["features"][0]))
    ways = ("told.feature_more" if one["change"]["point"] > 0 else "told.feature_less" for one in changed)
    which = ", ".join(text(way, **_moved(one)) for way, one in zip(ways, changed, strict=True))
    return text("told.features", rows=rows, which=which)


def _moved(one: Json) -> dict[str, str]:
    figures = {name: f"{one[name]:.3f}" for name in ("champion", "candidate", "luck")}
    return {"feature": known("feature", one["feature"]), **figures}


def _around(part: Json, confidence: float, positive: bool = True) -> str:
    low, high = (part["low"], part["high"]) if positive else (-part["high"], -part["low"])
    return text("told.around", confidence=percent(confidence, 0), low=money(low), high=money(high))


def _size(part: Json) -> str:
    return money(abs(part["point"]))
