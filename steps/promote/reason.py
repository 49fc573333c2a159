"""What promote's verdict rests on: a code, the same in a sentence, and every figure of that sentence by its name."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

Reason = dict[str, Any]


class Code(StrEnum):
    """Why a candidate is promoted, held back or rejected; those of PROMOTE first, the others by where they are found.

    Whoever shows a verdict in another language builds its sentence from code and figures.
    """

    FIRST_MODEL = "FIRST_MODEL"
    BETTER = "BETTER"
    LOWER_RMSE = "LOWER_RMSE"
    CARRIED_OUT = "CARRIED_OUT"
    CANNOT_TELL = "CANNOT_TELL"
    WORSE = "WORSE"
    NOT_LOWER_RMSE = "NOT_LOWER_RMSE"
    NOT_BETTER_THAN_MEDIAN = "NOT_BETTER_THAN_MEDIAN"
    MAE_WORSE = "MAE_WORSE"
    SLICE_WORSE = "SLICE_WORSE"
    GOLDEN_ROWS_DIFFER = "GOLDEN_ROWS_DIFFER"
    TOO_SLOW = "TOO_SLOW"
    TOO_LARGE = "TOO_LARGE"
    EVIDENCE_INCOMPLETE = "EVIDENCE_INCOMPLETE"
    COMPARED = "COMPARED"
    CHAMPION_CHANGED = "CHAMPION_CHANGED"
    ALIAS_MOVED = "ALIAS_MOVED"


def because(code: Code, sentence: str, **figures: Any) -> Reason:
    """Return a reason as the ledger keeps it."""
    return {"code": code.value, "sentence": sentence, **figures}
