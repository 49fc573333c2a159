"""Which database belongs to whom, and what each working role may do in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import MetaData

from steps.common.tables import clean, ledger, optuna, raw
from steps.common.tables.revisions import VERSION_TABLE

APPEND: Final = ("SELECT", "INSERT")
REPLACE: Final = ("SELECT", "INSERT", "DELETE")
EVERYTHING: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")
READ: Final = ("SELECT",)
# Enough for INSERT … ON CONFLICT DO NOTHING, as long as that names no columns.
ADD: Final = ("INSERT",)

Rights = Mapping[str, tuple[str, ...]]

# Roles that log in. Owners of our own databases do not: the upgrade, as superuser, takes their role.
LOGINS: Final = ("pipeline", "serving", "mlflow", "airflow")


def on_every(tables: MetaData, rights: tuple[str, ...]) -> Rights:
    """Return the same rights on every table of a database, and that of asking which revision they are of."""
    return {**dict.fromkeys(tables.tables, rights), VERSION_TABLE: READ}


@dataclass(frozen=True)
class Database:
    """A database: its owner, its tables if they are ours, what each working role may do on which of them."""

    name: str
    owner: str
    tables: MetaData | None = None
    rights: Mapping[str, Rights] = field(default_factory=dict)


DATABASES: Final = {
    database.name: database
    for database in (
        Database("raw", "raw_owner", raw.metadata, {
            "pipeline": {**on_every(raw.metadata, APPEND), raw.predictions.name: READ},
            "serving": {raw.predictions.name: ADD},
        }),
        Database("clean", "clean_owner", clean.metadata, {"pipeline": on_every(clean.metadata, REPLACE)}),
        Database("ledger", "ledger_owner", ledger.metadata, {
            "pipeline": on_every(ledger.metadata, APPEND), "serving": on_every(ledger.metadata, READ),
        }),
        Database("optuna", "optuna_owner", optuna.metadata, {"pipeline": on_every(optuna.metadata, EVERYTHING)}),
        # MLflow and Airflow own theirs and bring their own tables.
        Database("mlflow", "mlflow"),
        Database("airflow", "airflow"),
    )
}  # fmt: skip
