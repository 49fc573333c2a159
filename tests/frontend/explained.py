"""A comparison with its explanation, as the API hands one out; every figure was made up to be told apart."""

from typing import Any

from tests.steps.promote.evidence import evidence, part


def estimate(point: float, half: float) -> dict[str, float]:
    return {"point": point, "low": point - half, "high": point + half}


def cell(model: str, on: str, rmse: float) -> dict[str, Any]:
    return {"model": model, "on": on, "rmse": estimate(rmse, 900), "mae": estimate(0.7 * rmse, 500)}


def term(name: str, point: float, half: float) -> dict[str, Any]:
    return {"name": name, "rmse": estimate(point, half), "mean_squared": estimate(point * 1e5, half * 1e5),
            "real": abs(point) > half}  # fmt: skip


def feature(name: str, champion: float, candidate: float, half: float) -> dict[str, Any]:
    change = candidate - champion
    return {"feature": name, "champion": champion, "candidate": candidate, "change": estimate(change, half),
            "luck": 0.006, "stands_out": abs(change) - half > 0.006}  # fmt: skip


def fit(parameters: str, data: str, rmse: float) -> dict[str, Any]:
    return {"parameters": parameters, "data": data, "batches": [0, 1], "rows": 50_000, "rmse": rmse}


EXPLANATION: dict[str, Any] = {
    "version": 1, "batch": 4, "candidate_version": 5, "champion_version": 4, "retrained": False,
    "before": {"batches": [0, 1, 2, 3], "rows": 80_000, "properties": 78_000},
    "new": {"batches": [4], "rows": 64_000, "properties": 63_500},
    "table": {
        "confidence": 0.95,
        "cells": [
            cell("champion", "all", 128_700), cell("candidate", "all", 57_000), cell("champion", "new", 181_200),
            cell("candidate", "new", 66_100), cell("champion", "before", 47_300), cell("candidate", "before", 48_900),
        ],
        "gains": [
            {"on": on, "rows": rows, "rmse": estimate(gain, half), "mae": estimate(gain, half)}
            for on, rows, gain, half in (("all", 144_000, 71_700, 1_200), ("new", 64_000, 115_100, 2_100),
                                         ("before", 80_000, -1_600, 300))
        ],
    },
    "error_change": {
        "confidence": 0.95, "before_rmse": 47_300, "new_rmse": 181_200, "mean_squared": estimate(3.06e10, 9e8),
        "rmse": estimate(133_900, 2_800), "real": True,
        "terms": [term("outside", 121_400, 2_600), term("houses", 1_900, 2_400), term("prices", 10_600, 1_700)],
        "outside_rows": 58_000, "outside_share": 0.906, "rarer_rows": 400,
        "rarer_ratio": 10.0, "common_properties": 5_900, "effective_properties": 2_140.0,
        "needed_properties": 500, "factors": [],
        "novelties": [
            {"field": "price", "value": None, "rows": 57_000, "share": 0.89, "rows_before": 0, "low": 10_000,
             "high": 300_000},
            {"field": "status", "value": "sold", "rows": 900, "share": 0.014, "rows_before": 0},
        ],
    },
    "gain_split": {
        "confidence": 0.95,
        "fits": [fit("champion", "champion", 129_300), fit("champion", "candidate", 58_400),
                 fit("candidate", "champion", 128_900), fit("candidate", "candidate", 57_900)],
        "test_rows": 144_000, "gain": 71_700, "sample_gain": estimate(71_400, 1_300), "data": estimate(70_950, 1_200),
        "parameters": estimate(450, 380), "beyond_sample": 300.0, "luck": 420.0, "data_real": True,
        "parameters_real": False, "same_data": False, "same_parameters": False,
    },
    "attributions": {
        "confidence": 0.95, "rows": 2_000,
        "features": [
            feature("zip_price", 0.102, 0.188, 0.011), feature("house_size", 0.143, 0.171, 0.009),
            feature("zip_square_foot_price", 0.061, 0.083, 0.008), feature("state_price", 0.058, 0.041, 0.007),
            feature("bath", 0.072, 0.066, 0.006), feature("city_price", 0.049, 0.052, 0.005),
            feature("acre_lot", 0.021, 0.023, 0.003), feature("prev_sold_year", 0.014, 0.013, 0.002),
        ],
    },
    "notes": [],
    "paragraph": [
        "Over all 144,000 test rows the candidate has an RMSE of $57,000, $71,700 less ($70,500 to $72,900 at 95%).",
        "90.6% of the new houses are outside anything it was trained on, and they raise its error by $121,400.",
        "New data bring $70,950 of the gain, new tuning $450, which may be luck (less than $420 is).",
    ],
}  # fmt: skip


def comparison(**changes: Any) -> dict[str, Any]:
    """Return a comparison of version 5 with version 4."""
    return {
        "role": "candidate", "candidate_version": 5, "champion_version": 4, "batch_number": 4,
        "run_id": "run of batch 4", "measured_at": "2026-11-26T10:02:11+00:00", "verdict": "PROMOTE",
        "reasons": [{"code": "BETTER", "sentence": "RMSE falls from $128,700 to $57,000 on the same rows."}],
        "evidence": evidence(57_000, 128_700, slices=[part("price_band", "100k to 200k", 55_000, 50_000)]),
        "explanation": EXPLANATION, **changes,
    }  # fmt: skip
