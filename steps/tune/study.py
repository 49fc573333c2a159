"""The sweep's study in PostgreSQL: found again by its name, its trials' heartbeats kept."""

from __future__ import annotations

import warnings
from typing import Final

import optuna
from optuna import Study
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage

from steps.common.settings import Settings
from steps.common.store.connection import engine_options, name_failures, open_engine
from steps.tune.search_space import SEARCH_SPACE
from steps.tune.tune import pruner

SETTING: Final = "optuna_url"
# A trial whose process died stops counting as running after the grace; until then the sampler keeps away from it.
_BEAT_SECONDS: Final = 10
_GRACE_SECONDS: Final = 60


def study_name(fingerprint: str, champion: int | None) -> str:
    """Return the name under which a sweep of this data, champion and search space is found again."""
    return f"{fingerprint[:32]}/champion {champion or 'none'}/{SEARCH_SPACE}"


def open_study(settings: Settings, name: str) -> Study:
    """Return the study of a name, made at the first use; raises Unreachable naming the address."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        study_name=name, storage=_storage(settings), pruner=pruner(), direction="minimize", load_if_exists=True
    )


def find_study(settings: Settings, name: str) -> Study | None:
    """Return the study of a name if it is there."""
    try:
        return optuna.load_study(study_name=name, storage=_storage(settings))
    except KeyError:
        return None


def _storage(settings: Settings) -> RDBStorage:
    # The storage connects when it is made, before its engine can be told how to name a failure.
    probe = open_engine(settings, SETTING)
    try:
        probe.connect().close()
    finally:
        probe.dispose()
    with warnings.catch_warnings():
        # Heartbeats are called experimental since version 2.9.
        warnings.simplefilter("ignore", ExperimentalWarning)
        storage = RDBStorage(
            settings.needed(SETTING),
            engine_kwargs=engine_options(),
            heartbeat_interval=_BEAT_SECONDS,
            grace_period=_GRACE_SECONDS,
            # Working roles may create no tables; the upgrade made them.
            skip_table_creation=True,
        )
    name_failures(storage.engine, SETTING)
    return storage
