"""A run that has come as far as clean, with a seeded market in CLEAN, for the tests of tune and train."""

from sqlalchemy import text

from steps.common.listing import BUCKETS, SCOPE_VERSION, PricedListing
from steps.common.store import clean, cleanings, ledger
from steps.common.store.clean import CleanRow
from steps.common.store.ledger import Claim, Completion, Verdict
from tests.steps.common.listings import market
from tests.steps.deployment import SOURCE, Deployment

TRIALS = "6"
REASONS = [{"code": "NO_CHAMPION", "sentence": "There is no champion yet."}]


def store_market(deployment: Deployment, batch: int, rows: int, seed: int) -> str:
    """Replace a batch in CLEAN by a market's listings in all buckets, and return its digest."""
    listings, prices, _ = market(rows, seed)
    written = [
        CleanRow(
            number, 1000 * seed + number, number % BUCKETS, PricedListing(**listing.model_dump(), price=float(price))
        )
        for number, (listing, price) in enumerate(zip(listings, prices, strict=True))
    ]
    with deployment.clean.begin() as connection:
        clean.delete_batch(connection, SOURCE, batch)
        clean.copy_listings(connection, SOURCE, batch, written)
        digest = clean.digest(connection, SOURCE, batch)
        cleanings.append(connection, SOURCE, batch, digest)
    return digest


def cleaned(
    deployment: Deployment, run_id: str, batch: int = 0, rows: int = 1200, seed: int = 0, verdict: str = "TRAIN"
) -> Claim:
    """Return the claim of a run whose batch is judged and cleaned; its data set is all batches up to this one."""
    digest = store_market(deployment, batch, rows, seed)
    claim = deployment.claim(run_id, batch, done="fetch")
    with deployment.ledger.begin() as connection:
        judged = Completion(claim.claim_id, "validate", 0, "d", {"scope_version": SCOPE_VERSION}, None, 0.0)
        ledger.append_completion(connection, judged, Verdict(verdict, REASONS, {}, {}), None)
        ledger.freeze_dataset(connection, claim.claim_id, {number: f"content {number}" for number in range(batch + 1)})
    deployment.complete(claim, "clean", digest)
    return claim


def spoil_test_part(deployment: Deployment) -> int:
    """Make every listing of the test part worth ten million, and return how many there are."""
    with deployment.clean.begin() as connection:
        rows = connection.execute(text("SELECT * FROM listings WHERE bucket < 20")).mappings().all()
        connection.execute(text("DELETE FROM listings WHERE bucket < 20"))
        for row in rows:
            names = ", ".join(map(str, row))
            values = ", ".join(f":{name}" for name in row)
            connection.execute(
                text(f"INSERT INTO listings ({names}) VALUES ({values})"),  # noqa: S608
                {**row, "price": 10_000_000.0, "state": "spoilt", "house_size": 100.0},
            )
    return len(rows)


def completion(deployment: Deployment, claim: Claim, step: str) -> Completion | None:
    """Return a step's completion row."""
    with deployment.ledger.connect() as connection:
        return ledger.completion(connection, claim.claim_id, step)
