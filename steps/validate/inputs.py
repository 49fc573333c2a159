"""What people ask the API about, beside what the model was taught: the drift of their inputs against all listings."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping

from steps.common.columns import CATEGORIES
from steps.common.listing import Refusal, parse_field
from steps.validate.drift import Drift, between, changes
from steps.validate.policy import Policy
from steps.validate.reason import Code, Reason, listed
from steps.validate.reference import MEASURED, Reference, reference

PRICE = "price"


def inputs_drift(
    rows: int, counts: Mapping[str, Mapping[str, int]], before: Reference, policy: Policy
) -> dict[str, Drift]:
    """Return the change of each column of so many inputs; nothing where there are none.

    `counts` says how many inputs have each text, by field of `Listing`; an input without a value, or with one that
    is refused, has none there. Nobody sends a price.
    """
    if not rows:
        return {}
    parsed = {name: _parsed(name, counts.get(name, {})) for name in (*MEASURED, *CATEGORIES)}
    asked = reference({0: rows}, parsed)
    numbers = {name: held for name, held in asked.numbers.items() if name != PRICE}
    return between(Reference((), rows, numbers, asked.texts), before, policy)


def _parsed(name: str, texts: Mapping[str, int]) -> dict[str, int]:
    """Return the counts by what the texts mean, written as CLEAN writes it: 3 and 3.0 are one, Ohio and ohio too."""
    found = Counter[str]()
    for text, rows in texts.items():
        value = parse_field(name, text)
        if value is not None and not isinstance(value, Refusal):
            found[value.isoformat() if isinstance(value, dt.date) else str(value)] += rows
    return dict(found)


def asked_otherwise(found: Mapping[str, Drift], policy: Policy) -> Reason | None:
    """Return that people ask about other houses than the listings are, None where they do not.

    Told, and no reason to train: no listing says yet what such houses cost.
    """
    changed = changes(found, policy)
    if not changed:
        return None
    names = listed([str(reason.about) for reason in changed])
    sentence = f"what people ask the API about differs from the listings in {names}: {changed[0].sentence}"
    return Reason(Code.ASKED_OTHERWISE, sentence, names, changed[0].measured, changed[0].threshold)
