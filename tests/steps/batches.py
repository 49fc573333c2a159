"""Batches for tests of validate and clean: a seeded market as the source's texts, put into RAW the way fetch does."""

import datetime as dt
from collections.abc import Callable, Sequence

from sqlalchemy import create_engine

from local.postgres import SUPERUSER
from steps.common.listing import SOURCE_FIELDS
from steps.common.store import ledger, raw
from steps.common.store.copying import Lines, written
from steps.common.store.ledger import Claim
from tests.steps.common.listings import market
from tests.steps.deployment import SOURCE, Deployment

Row = dict[str, str | None]
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

# One of each kind of row that is known to come.
ODD: list[Row] = [
    {"price": "1.0"},
    {"bed": "444.0"},
    {"acre_lot": "100000.0"},
    {"house_size": "1560780.0"},
    {"price": None},
    {"price": "NaN"},
    {"bed": "three"},
    {"zip_code": "none of your business"},
    {"prev_sold_date": "2022-13-45"},
    {"state": "  "},
]


def house(number: int, seed: int = 0) -> str:
    """Return the source's number of a street; another for each house and seed."""
    return f"{1_000_000 * (seed + 1) + number}.0"


def rows(count: int, seed: int = 0, **changes: str | None) -> list[Row]:
    """Return the rows of a market of houses of its own, as the source writes them, with some fields changed in all."""
    listings, prices, _ = market(count, seed)
    return [
        {
            "brokered_by": f"{listing.brokered_by}.0",
            "status": listing.status,
            "price": repr(price),
            "bed": repr(float(listing.bed)),
            "bath": repr(float(listing.bath)),
            "acre_lot": None if listing.acre_lot is None else repr(listing.acre_lot),
            "street": house(number, seed),
            "city": str(listing.city).title(),
            "state": listing.state.title(),
            "zip_code": repr(float(listing.zip_code)),
            "house_size": repr(listing.house_size),
            "prev_sold_date": str(listing.prev_sold_date),
            **changes,
        }
        for number, (listing, price) in enumerate(zip(listings, prices.tolist(), strict=True))
    ]


def changed(found: list[Row], **how: Callable[[str], str]) -> list[Row]:
    """Return rows with some fields put through a function."""
    return [{**row, **{name: change(row[name] or "") for name, change in how.items()}} for row in found]


def times(factor: float) -> Callable[[str], str]:
    """Return the change of a number's unit."""
    return lambda text: repr(float(text) * factor)


def store(deployment: Deployment, batch: int, found: Sequence[Row], count: int | None = None) -> None:
    """Put a batch into RAW in one transaction, with the number of rows it is said to have."""
    engine = create_engine(deployment.databases.url("raw"))
    lines = ["\t".join(written(row[name]) for name in SOURCE_FIELDS) + "\n" for row in found]
    with engine.begin() as connection:
        raw.copy_rows(connection, SOURCE, batch, [Lines("".join(lines).encode(), len(lines))])
        size = len(found) if count is None else count
        raw.append_batch(
            connection, raw.Batch(SOURCE, batch, f"content {batch}", f"body {batch}", size, 1, 1.0, NOW, NOW)
        )
    engine.dispose()


def fetched(deployment: Deployment, run_id: str, batch: int, found: Sequence[Row], *, force: bool = False) -> Claim:
    """Return the claim of a run that has fetched a batch of these rows."""
    store(deployment, batch, found)
    return claimed(deployment, run_id, batch, force=force)


def claimed(deployment: Deployment, run_id: str, batch: int, *, force: bool = False) -> Claim:
    """Return the claim of a run that has come as far as fetch, on a batch that is stored already."""
    with deployment.ledger.begin() as connection:
        ledger.append_run(connection, run_id, SOURCE, force_train=force)
        claim = ledger.claim_batch(connection, run_id, SOURCE, batch, f"content {batch}", force_train=force)
    deployment.complete(claim, "fetch")
    return claim


def leave_behind(deployment: Deployment, *batches: int) -> None:
    """Leave batches in CLEAN as another scope would have: some rows fewer, and a word of that scope."""
    with deployment.databases.connect("clean", SUPERUSER) as connection:
        for batch in batches:
            connection.execute("DELETE FROM listings WHERE batch_number = %s AND row_number %% 3 = 0", (batch,))
            connection.execute("DELETE FROM refusals WHERE batch_number = %s", (batch,))
            connection.execute(
                "UPDATE cleanings SET scope_version = 'scope_v0', digest = 'old' WHERE batch_number = %s", (batch,)
            )


def finish(deployment: Deployment, claim: Claim, outcome: str = "PROMOTE") -> None:
    """End a run as promote would."""
    deployment.complete(claim, "promote", outcome=outcome)
