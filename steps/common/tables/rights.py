"""Which database belongs to whom, and what each working role may do in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import MetaData

from steps.common.tables import clean, ledger, optuna, raw

APPEND: Final = ("SELECT", "INSERT")
REPLACE: Final = ("SELECT", "INSERT", "DELETE")
EVERYTHING: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")
READ: Final = ("SELECT",)

# Roles that log in. Owners of our own databases do not: the upgrade, as superuser, takes their role.
LOGINS: Final = ("pipeline", "serving", "mlflow", "airflow")


@dataclass(frozen=True)
class Database:
    """A database: its owner, its tables if they are ours, the rights of working roles on every table of it."""

    name: str
    owner: str
    tables: MetaData | None = None
    rights: dict[str, tuple[str, ...]] = field(default_factory=dict)


DATABASES: Final = {
    database.name: database
    for database in (
        Database("raw", "raw_owner", raw.metadata, {"pipeline": APPEND}),
        Database("clean", "clean_owner", clean.metadata, {"pipeline": REPLACE}),
        Database("ledger", "ledger_owner", ledger.metadata, {"pipeline": APPEND, "serving": READ}),
        Database("optuna", "optuna_owner", optuna.metadata, {"pipeline": EVERYTHING}),
        # MLflow and Airflow own theirs and bring their own tables.
        Database("mlflow", "mlflow"),
        Database("airflow", "airflow"),
    )
}
