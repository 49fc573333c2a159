"""The model as MLflow loads it: raw listings in as a table, prices out. Logged as code, so nothing is pickled.

MLflow runs this file in whatever environment asks for the model; the few files of ours that it imports travel with it
(`code_paths`). Our own steps do not come this way: they verify the bundle's files and read them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext
from pydantic import ValidationError

from steps.common import bundle
from steps.common.listing import LISTING_FIELDS, Listing, is_missing


class HousePrice(PythonModel):  # type: ignore[misc]  # mlflow ships no types
    """Prices raw listings: the source's columns or the API's fields, further columns are ignored."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the bundle that was logged with the model."""
        self._bundle = bundle.load(Path(context.artifacts["bundle"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return a `price` in dollars for each row, NaN with the reason in `refused` where the row is no listing."""
        del context, params
        known = [name for name in LISTING_FIELDS if name in model_input.columns]
        rows = model_input[known].astype(object).to_dict("records")
        found = [_listing(row) for row in rows]
        listings = [one for one in found if isinstance(one, Listing)]
        prices = iter(self._bundle.prices(listings).tolist())
        return pd.DataFrame(
            {
                "price": [next(prices) if isinstance(one, Listing) else float("nan") for one in found],
                "refused": ["" if isinstance(one, Listing) else one for one in found],
            },
            index=model_input.index,
        )


def _listing(row: dict[Any, Any]) -> Listing | str:
    given = {name: value for name, value in row.items() if not _is_gap(value)}
    try:
        return Listing.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        return f"{first['loc'][0]}: {first['msg']}"


def _is_gap(value: Any) -> bool:
    return is_missing(value) if isinstance(value, str) else bool(pd.isna(value))


set_model(HousePrice())
