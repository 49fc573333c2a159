"""What a verdict rests on: a code, what was measured, what it was held against, and the same in words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Code(StrEnum):
    """Why a batch is refused, worth a training or not; QUARANTINE's first, then those of TRAIN, then of SKIP."""

    COPY_OF_PRICE = "COPY_OF_PRICE"
    TOO_MANY_REFUSED = "TOO_MANY_REFUSED"
    COLUMN_MALFORMED = "COLUMN_MALFORMED"
    UNIT_CHANGE = "UNIT_CHANGE"
    FORCED = "FORCED"
    NO_CHAMPION = "NO_CHAMPION"
    CHAMPION_UNUSABLE = "CHAMPION_UNUSABLE"
    CHAMPION_WORSE_HERE = "CHAMPION_WORSE_HERE"
    RETRAIN_PAYS = "RETRAIN_PAYS"
    NEW_CATEGORY = "NEW_CATEGORY"
    DRIFT = "DRIFT"
    PRICE_LEVEL = "PRICE_LEVEL"
    NOT_LEARNABLE = "NOT_LEARNABLE"
    DRIFT_WITHOUT_DAMAGE = "DRIFT_WITHOUT_DAMAGE"
    NOTHING_CHANGED = "NOTHING_CHANGED"
    # What a reader would ask next, although whether to train is not decided by it.
    PROBE_NOT_MEASURED = "PROBE_NOT_MEASURED"
    RETRAIN_DOES_NOT_PAY = "RETRAIN_DOES_NOT_PAY"
    ROLLBACK_ADVISED = "ROLLBACK_ADVISED"
    PRICES_OUT_OF_LINE = "PRICES_OUT_OF_LINE"
    ASKED_OTHERWISE = "ASKED_OTHERWISE"
    NEW_VALUES_TOO_FEW = "NEW_VALUES_TOO_FEW"
    NO_NUMERIC_DRIFT = "NO_NUMERIC_DRIFT"
    CHAMPION_NOT_WORSE = "CHAMPION_NOT_WORSE"
    CHAMPION_NOT_JUDGED = "CHAMPION_NOT_JUDGED"


@dataclass(frozen=True)
class Reason:
    """One reason; `about` is the column or state it speaks of, `measured` and `threshold` are in the same unit.

    `least_rows` is how many rows a value never seen has to be on as well, where `threshold` is their share. `failed`
    says which of a code's rules the two figures are of, where there is more than one; `outcome` what came of advice.
    """

    code: Code
    sentence: str
    about: str | None = None
    measured: float | None = None
    threshold: float | None = None
    least_rows: int | None = None
    failed: Literal["chance"] | None = None
    outcome: Literal["stayed", "moved"] | None = None


def shown(text: str) -> str:
    """Return a source's text as it may stand in a sentence: a line end in it would pass for a line of the log."""
    return text if text.isprintable() else repr(text)[1:-1]


def listed(names: list[str], most: int = 5) -> str:
    """Return names as a list of words, the rest as a number."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
