"""What a sweep may try: the range of each parameter, under a version that names the whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from optuna import Trial
from optuna.distributions import FloatDistribution, IntDistribution

from steps.common.booster import GAMMA, Parameters
from steps.common.features import FEATURES_VERSION

# Raise it with any change of a range or of what a parameter means: a sweep under way then starts anew, and the noise
# floor is measured again.
SPACE_VERSION: Final = "space_v1"
SEARCH_SPACE: Final = f"{SPACE_VERSION}/{FEATURES_VERSION}"

SPACE: Final[Mapping[str, FloatDistribution | IntDistribution]] = {
    "variance_power": FloatDistribution(1.1, GAMMA, step=0.1),
    "depth": IntDistribution(5, 10),
    "learning_rate": FloatDistribution(0.06, 0.3, log=True),
    "leaf_rows": FloatDistribution(1.0, 200.0, log=True),
    "l2_rows": FloatDistribution(0.1, 200.0, log=True),
    "column_share": FloatDistribution(0.4, 1.0),
}


def suggest(trial: Trial) -> dict[str, Any]:
    """Return the parameters of a trial, as its sampler or whoever enqueued it has them."""
    return {
        name: trial.suggest_int(name, int(span.low), int(span.high))
        if isinstance(span, IntDistribution)
        else trial.suggest_float(name, span.low, span.high, step=span.step, log=span.log)
        for name, span in SPACE.items()
    }


def holds(parameters: Parameters) -> bool:
    """Tell whether parameters, of a version trained earlier say, are all in today's space, and are all of it."""
    return parameters.keys() == SPACE.keys() and all(
        span.low <= parameters[name] <= span.high for name, span in SPACE.items()
    )
