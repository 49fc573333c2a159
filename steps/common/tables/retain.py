"""Delete what has been kept long enough: `python -m steps.common.tables.retain --predictions-days N --studies-days N`.

Prices that were served longer ago than that, and studies whose last trial ended longer ago; what is not named is kept.
The ledger, the batches and CLEAN are kept for ever. No working role may delete a prediction, so this takes the owner's
role as the upgrade does; addresses are the same variables. Repeating it, or ending it half-way, does no harm.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
from typing import Final

from sqlalchemy import URL, ColumnElement, Connection, Select, Table, create_engine, delete, func, select, text
from sqlalchemy.exc import OperationalError

from steps.common.settings import SettingRefused
from steps.common.tables import optuna, raw
from steps.common.tables.rights import DATABASES
from steps.common.tables.upgrade import servers

# A transaction that deletes for longer than this holds up the clean-up of the whole server.
_AT_ONCE: Final = 50_000
_ENDED: Final = ("COMPLETE", "PRUNED", "FAIL")


def retain_predictions(connection: Connection, before: dt.datetime) -> int:
    """Delete up to 50,000 of the predictions served before a time, the oldest first; return how many those were."""
    served = raw.predictions.c
    oldest = select(served.inference_id).where(served.served_at < before).order_by(served.served_at).limit(_AT_ONCE)
    return connection.execute(delete(raw.predictions).where(served.inference_id.in_(oldest))).rowcount


def retain_studies(connection: Connection, before: dt.datetime) -> int:
    """Delete the studies whose every trial ended before a time; return how many those were.

    One without a trial has just begun, or tells no time: it is kept.
    """
    trial = optuna.trials.c
    ended = func.bool_and(trial.state.in_(_ENDED) & (trial.datetime_complete < before.replace(tzinfo=None)))
    found = list(connection.scalars(select(trial.study_id).group_by(trial.study_id).having(ended)))
    theirs = select(trial.trial_id).where(trial.study_id.in_(found))
    for table in reversed(optuna.metadata.sorted_tables):
        if (owned := _of(table, found, theirs)) is not None:
            connection.execute(delete(table).where(owned))
    return len(found)


def _of(table: Table, studies: list[int], trials: Select[int]) -> ColumnElement[bool] | None:
    """Return what picks the rows of some studies from a table, None where it holds none."""
    if "study_id" in table.columns:
        return table.columns["study_id"].in_(studies)
    return table.columns["trial_id"].in_(trials) if "trial_id" in table.columns else None


_RETAINED: Final = {"raw": retain_predictions, "optuna": retain_studies}


def retain(url: URL, database: str, before: dt.datetime) -> int:
    """Delete what there is from before a time, a transaction at a time; return how many entries those were.

    `url` leads a superuser to the database itself, `database` says which of ours it is: `raw` or `optuna`.
    """
    engine = create_engine(url)
    total = 0
    try:
        while True:
            with engine.begin() as connection:
                connection.execute(text(f'SET LOCAL ROLE "{DATABASES[database].owner}"'))
                gone = _RETAINED[database](connection, before)
            total += gone
            if gone < _AT_ONCE:
                return total
    finally:
        engine.dispose()


def main(arguments: list[str], now: dt.datetime) -> int:
    """Delete what the options say; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m steps.common.tables.retain", description=__doc__)
    parser.add_argument("--predictions-days", type=_days, metavar="N", help="keep served prices for so many days")
    parser.add_argument("--studies-days", type=_days, metavar="N", help="keep finished sweeps for so many days")
    options = parser.parse_args(arguments)
    wanted = {"raw": ("predictions", options.predictions_days), "optuna": ("studies", options.studies_days)}
    asked = {database: (what, days) for database, (what, days) in wanted.items() if days is not None}
    for url, databases in servers(os.environ, list(asked)).items():
        for database in databases:
            what, days = asked[database]
            try:
                gone = retain(url.set(database=database), database, now - dt.timedelta(days=days))
            except OperationalError as error:
                raise SettingRefused(f"{database} at {url.host}:{url.port} cannot be reached: {error.orig}") from None
            sys.stdout.write(f"{what} of more than {days} days ago: {gone:,} deleted\n")
    return 0


def _days(value: str) -> int:
    days = int(value)
    if days < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return days


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:], dt.datetime.now(dt.UTC)))
    except SettingRefused as refused:
        sys.exit(str(refused))
