"""A comparison with its explanation, as the API hands one out.

The explanation is evaluate's own, of houses that are dearer than those before and some that are larger than any.
"""

from functools import cache
from typing import Any

from steps.evaluate import explain
from tests.steps.evaluate.houses import draw, together
from tests.steps.evaluate.planted import card, given
from tests.steps.promote.evidence import evidence, part


@cache
def explanation() -> dict[str, Any]:
    """Return why version 2, which knows both batches and has fewer trees, differs from version 1."""
    dearer, larger = draw(7000, 2, batch=1, larger=0.15, dearer=1.3), draw(1500, 3, batch=1, larger=1.7)
    houses = together(draw(8000, 1), dearer, larger)
    found = explain.explain(given(houses, card(0), card(0, 1, trees=40)))
    told: dict[str, Any] = found.model_dump(mode="json")
    assert told["notes"] == [], "every part is there"
    return told


def rmse(model: str, on: str = "all") -> float:
    """Return how wrong a model is, as the explanation has it."""
    cells = explanation()["table"]["cells"]
    return float(next(cell["rmse"]["point"] for cell in cells if (cell["model"], cell["on"]) == (model, on)))


def comparison(**changes: Any) -> dict[str, Any]:
    """Return that comparison, with evidence of the same errors."""
    candidate, champion = rmse("candidate"), rmse("champion")
    return {
        "role": "candidate", "candidate_version": 2, "champion_version": 1, "batch_number": 1,
        "run_id": "run of batch 1", "measured_at": "2026-11-26T10:02:11+00:00", "verdict": "PROMOTE",
        "reasons": [{"code": "BETTER", "sentence": "RMSE falls on the same rows."}],
        "evidence": evidence(candidate, champion, slices=[part("price_band", "100k to 200k", 55_000, 50_000)]),
        "explanation": explanation(), **changes,
    }  # fmt: skip
