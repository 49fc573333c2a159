"""Makes the directory of an MLflow model around a bundle: what anybody loads with `mlflow.pyfunc.load_model`."""

from __future__ import annotations

import logging
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import steps.common.bundle
from steps.common.listing import LISTING_FIELDS, Listing

# What the model needs of ours, to be imported where our repository is not.
_MODULES: Final = ("listing", "columns", "features", "margins", "booster", "bundle")
# Packages it needs there; scipy comes with xgboost.
_PACKAGES: Final = ("numpy", "pandas", "pydantic", "xgboost-cpu")
_TEXTS: Final = frozenset({"status", "state", "city"})


def write(target: Path, bundle: Path, example: Listing, model: Any, work: Path) -> None:
    """Write an MLflow model directory at `target`, which must not exist, from a bundle's files.

    `model` is MLflow's `Model`, which knows the ids it is logged under; `work` is a folder for passing files.
    """
    import mlflow
    import pandas as pd

    # Its progress is not an event of this step.
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    code = work / "code" / "steps"
    (code / "common").mkdir(parents=True)
    ours = Path(steps.common.bundle.__file__).parent
    for name in _MODULES:
        shutil.copy(ours / f"{name}.py", code / "common")
    # Copied to a place without a name of this machine in it.
    script = shutil.copy(Path(__file__).with_name("pyfunc_model.py"), work)
    mlflow.pyfunc.save_model(
        target,
        python_model=str(script),
        artifacts={"bundle": str(bundle)},
        code_paths=[str(code)],
        signature=signature(),
        input_example=pd.DataFrame([example.model_dump(mode="json")]),
        pip_requirements=[_mlflow(), *(f"{name}=={version(name)}" for name in _PACKAGES)],
        mlflow_model=model,
    )
    for cache in target.rglob("__pycache__"):
        shutil.rmtree(cache)


def _mlflow() -> str:
    return f"mlflow=={version('mlflow-skinny')}"


def signature() -> Any:
    """Return what the model takes and gives.

    Numbers are of any type: MLflow turns no whole number into a float, and in raw data a zip code is both.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import AnyType

    taken = [
        ColSpec(
            DataType.string if name in _TEXTS else AnyType(), name, required=Listing.model_fields[name].is_required()
        )
        for name in LISTING_FIELDS
    ]
    given = [ColSpec(DataType.double, "price"), ColSpec(DataType.string, "refused")]
    return ModelSignature(inputs=Schema(taken), outputs=Schema(given))
