"""Evidence made by hand: a comparison of two models with the errors, sureness and slices a test wants."""

from statistics import NormalDist
from typing import Any

from steps.common.evidence import PROBABILITIES

RELATIVE_MAE = 0.78


def distribution(middle: float, spread: float, replicates: int = 2000) -> dict[str, Any]:
    """Return a normal bootstrap distribution."""
    normal = NormalDist()
    values = [middle + spread * normal.inv_cdf(probability) for probability in PROBABILITIES]
    return {"replicates": replicates, "values": values}


def metrics(rmse: float | None, mae: float | None = None) -> dict[str, Any]:
    """Return the errors of a model of which only RMSE, and maybe MAE, matter."""
    mean = mae if mae is not None or rmse is None else RELATIVE_MAE * rmse
    return {"rmse": rmse, "mae": mean, "r2": 0.8, "mdape": 0.12, "rmsle": 0.2}


def part(
    by: str, value: str, candidate: float, champion: float, *, rows: int = 10_000, new_rows: int = 5_000,
    spread: float = 0.01,
) -> dict[str, Any]:  # fmt: skip
    """Return a slice; spread is the standard error of the ratio of the two errors."""
    return {
        "by": by, "value": value, "rows": rows, "new_rows": new_rows, "candidate": metrics(candidate),
        "champion": metrics(champion), "ratio": distribution(candidate / champion, spread), "note": None,
    }  # fmt: skip


def _with_both_guards(slices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return slices with an unremarkable one of each kind that guards and is not among them."""
    unremarkable = [part("status", "for_sale", 50_000, 50_000), part("zip_seen", "yes", 50_000, 50_000)]
    given = {one["by"] for one in slices}
    return [*slices, *(one for one in unremarkable if one["by"] not in given)]


def evidence(
    candidate: float = 52_000, champion: float | None = 55_000, *, spread: float = 150, noise: float = 0.001,
    slices: list[dict[str, Any]] | None = None, candidate_mae: float | None = None, rows: int = 100_000,
    baseline: float = 120_000, alias_ever_set: bool | None = None, champion_version: int = 4,
    candidate_version: int = 5, **changes: Any,
) -> dict[str, Any]:  # fmt: skip
    """Return evidence on a candidate and a champion (None: there was none) by their RMSE in dollars.

    `spread` is the standard error of the difference, `noise` the noise floor as a share.
    """

    def model(version: int, rmse: float, mae: float | None = None) -> dict[str, Any]:
        return {
            "version": version, "batches": [0, 1], "split_version": "split_v1", "scope_version": "scope_v1",
            "metrics": metrics(rmse, mae),
        }  # fmt: skip

    gain = None
    if champion is not None:
        gain = {"point": champion - candidate, "seed": 1, "distribution": distribution(champion - candidate, spread)}
    return {
        "schema_version": 1,
        "rows": rows,
        "properties": rows,
        "rows_digest": "a" * 64,
        "batches": [0, 1, 2],
        "candidate": model(candidate_version, candidate, candidate_mae),
        "champion": None if champion is None else model(champion_version, champion),
        "alias_ever_set": champion is not None if alias_ever_set is None else alias_ever_set,
        "previous": None,
        "baseline": metrics(baseline),
        "gain": gain,
        "slices": _with_both_guards(slices or []),
        "noise_floor": {
            "search_space": "s1", "scope_version": "scope_v1", "rows": 50_000, "seeds": [1, 2, 3],
            "rmse": [1.0, 1.0, 1.0], "share": noise,
        },
        "infrastructure": {
            "golden_rows": 20, "golden_equal": True, "milliseconds_per_1000_rows": 8.0, "megabytes": 180.0,
            "note": None,
        },
        "errors": {"uri": "mlflow-artifacts:/1/run/artifacts/errors.npz", "sha256": "b" * 64, "bytes": 10},
        "scored": [candidate_version],
        "notes": [],
        **changes,
    }  # fmt: skip
