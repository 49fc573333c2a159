"""The evidence in few words: figures for the completion row and for MLflow, lines for the closing block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from steps.common.evidence import Evidence, Metrics, Model

_CONFIDENCE: Final = 0.95
# The page and the report have them all.
_SENTENCES: Final = 5


def summary(found: Evidence, champion: int | None) -> dict[str, Any]:
    """Return what the completion row says; `gain` with the ends of its 95 % interval, in dollars."""
    return {
        "candidate_version": found.candidate.version,
        "champion_version": champion,
        "rows": found.rows,
        "properties": found.properties,
        "rows_digest": found.rows_digest,
        "candidate": _figures(found.candidate),
        "champion": _figures(found.champion),
        "previous": _figures(found.previous),
        "baseline": found.baseline.model_dump(),
        "gain": _gain(found),
        "noise_floor": found.noise_floor.share,
        "scored": list(found.scored),
        "notes": list(found.notes),
    }


def _figures(model: Model | None) -> dict[str, Any] | None:
    return {"version": model.version, **model.metrics.model_dump()} if model else None


def _gain(found: Evidence) -> dict[str, float] | None:
    if found.gain is None:
        return None
    kept = found.gain.distribution
    return {
        "point": found.gain.point,
        "low": kept.quantile((1 - _CONFIDENCE) / 2),
        "high": kept.quantile((1 + _CONFIDENCE) / 2),
        "confidence": _CONFIDENCE,
    }


def series(found: Evidence) -> dict[str, float | None]:
    """Return the metrics of the MLflow run, by name: of each part, of the gain, of the checks."""
    parts = {"candidate": found.candidate, "champion": found.champion, "previous": found.previous}
    by_part = {part: model.metrics for part, model in parts.items() if model} | {"baseline": found.baseline}
    figures = {f"{part}_{name}": value for part, of_part in by_part.items() for name, value in of_part}
    gain = _gain(found) or {}
    check = found.infrastructure
    return {
        **figures,
        **{f"gain_{name}": gain.get(name) for name in ("point", "low", "high")},
        "noise_floor_share": found.noise_floor.share,
        "test_rows": float(found.rows),
        "milliseconds_per_1000_rows": check.milliseconds_per_1000_rows,
        "megabytes": check.megabytes,
    }


def lines(found: Evidence, champion: int | None) -> list[tuple[str, object]]:
    """Return the lines of the closing block."""
    check = found.infrastructure
    shown: list[tuple[str, object]] = [
        (
            "test rows",
            f"{found.rows:,} of {found.properties:,} properties, batches {', '.join(map(str, found.batches))}",
        ),
        ("candidate", f"version {found.candidate.version} · {_told(found.candidate.metrics)}"),
        ("champion", f"version {champion} · {_told(found.champion.metrics)}" if found.champion else "none"),
        ("median price", _told(found.baseline)),
    ]
    gain = _gain(found)
    if gain:
        interval = f"95 % interval {gain['low']:,.0f} to {gain['high']:,.0f}"
        shown.append(("gain in RMSE", f"{gain['point']:,.0f} dollars, {interval}"))
    golden = "as in training" if check.golden_equal else "NOT as in training"
    cost = f"{check.milliseconds_per_1000_rows:.1f} ms for 1,000 rows, {check.megabytes:.0f} MB"
    shown += [
        ("noise floor", f"{found.noise_floor.share:.2%} of RMSE"),
        ("infra check", f"golden rows {golden}, {cost}"),
    ]
    return [*shown, *(("note", note) for note in found.notes)]


def reasons(paragraph: Sequence[str]) -> list[tuple[str, object]]:
    """Return the first sentences of the explanation as lines of the closing block."""
    return [("why", sentence) for sentence in paragraph[:_SENTENCES]]


def _told(metrics: Metrics) -> str:
    if metrics.rmse is None or metrics.mae is None:
        return "not measured"
    others = [("R²", metrics.r2), ("MdAPE", metrics.mdape), ("RMSLE", metrics.rmsle)]
    told = " · ".join(f"{name} {value:.3f}" for name, value in others if value is not None)
    return f"RMSE {metrics.rmse:,.0f} · MAE {metrics.mae:,.0f} · {told}"
