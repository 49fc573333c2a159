"""The clean step after a change of the model's scope: no data set of two scopes, and nothing made twice without one."""

import argparse
import os

import pytest
from sqlalchemy import create_engine, text

from local.postgres import SUPERUSER
from steps.common import dataset, settings
from steps.common.dataset import DataSetChanged, FrozenList
from steps.common.listing import SCOPE_VERSION
from steps.common.step import DONE, FAILED, Job
from steps.common.store import clean
from steps.common.store.ledger import Claim
from steps.train.rebuilding import rebuild
from tests.steps.batches import Row, claimed, fetched, leave_behind
from tests.steps.clean.test_step import MIXED, completions, judge, judged, left, run, said
from tests.steps.deployment import SOURCE, Deployment

pytestmark = pytest.mark.usefixtures("led_here")

OLD = "scope_v0"
# Rows, and the digest that cleaning them had before CLEAN said of any batch by which scope it was made.
KNOWN: list[Row] = [
    {"brokered_by": "7.0", "status": "sold", "price": "250000.0", "bed": "3.0", "bath": "2.5", "acre_lot": "0.25",
     "street": "1234.0", "city": "São Tomé", "state": "Ohio", "zip_code": "44101.0", "house_size": "1500.0",
     "prev_sold_date": "2020-02-29"},
    {"brokered_by": None, "status": "for_sale", "price": "1e6", "bed": "4", "bath": "3", "acre_lot": None,
     "street": None, "city": None, "state": "Ohio", "zip_code": "1001.0", "house_size": "2000.5",
     "prev_sold_date": None},
    {"brokered_by": "7.0", "status": "sold", "price": None, "bed": "3.0", "bath": "2.0", "acre_lot": "0.1",
     "street": "1.0", "city": "Akron", "state": "Ohio", "zip_code": "44301.0", "house_size": "900.0",
     "prev_sold_date": None},
]  # fmt: skip
KNOWN_DIGEST = "a3d7e45be110587007dbc6b6366c25c1b22855363d9e03f28df7f6e8d7c124ed"


def data_set(claim: Claim) -> FrozenList:
    """Return a run's data set as a training reads it."""
    job = Job("tune", argparse.Namespace(run_id=claim.run_id), settings.read(os.environ))
    job.claim = claim
    try:
        return dataset.frozen_list(job)
    finally:
        job.close()


def two_finished(deployment: Deployment) -> Claim:
    """Return the claim of the second of two runs that are done, each with a batch."""
    for number in range(2):
        claim = judged(deployment, f"r{number}", number, "SKIP")
        assert run(f"r{number}") == DONE
    return claim


def versions(deployment: Deployment, batch: int) -> list[str]:
    """Return which transactions wrote a batch's listings."""
    query = text("SELECT DISTINCT xmin::text FROM listings WHERE batch_number = :batch")
    with deployment.clean.connect() as connection:
        return list(connection.scalars(query, {"batch": batch}))


def test_every_batch_of_the_data_set_is_brought_under_the_scope_of_today(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    before, tables = data_set(two_finished(deployment)), left(deployment.clean)
    leave_behind(deployment, 0, 1)
    last = judged(deployment, "last", 2)
    assert run("last") == DONE
    after = data_set(last)
    assert [[row for row in table if row[1] != 2] for table in left(deployment.clean)] == tables
    assert after.clean_digests[:2] == before.clean_digests
    done = completions(deployment)[-1]
    assert done["summary"]["recleaned"] == dict(zip("01", before.clean_digests, strict=True))  # type: ignore[index]
    assert "cleaned again batch 0, 1" in said(capsys)


def test_under_an_unchanged_scope_other_batches_are_not_touched(deployment: Deployment) -> None:
    two_finished(deployment)
    before = [versions(deployment, number) for number in range(2)]
    judged(deployment, "last", 2)
    assert run("last") == DONE
    assert [versions(deployment, number) for number in range(2)] == before
    assert completions(deployment)[-1]["summary"]["recleaned"] == {}  # type: ignore[index]


def test_a_batch_that_nobody_learns_from_is_left_as_it_is(deployment: Deployment) -> None:
    judged(deployment, "given up", 0)
    assert run("given up") == DONE
    leave_behind(deployment, 0)
    before = versions(deployment, 0)
    judged(deployment, "last", 1)
    assert run("last") == DONE
    assert versions(deployment, 0) == before


def test_a_data_set_of_another_scope_is_refused_with_its_batches_and_what_to_do(deployment: Deployment) -> None:
    claim = two_finished(deployment)
    leave_behind(deployment, 0)
    with deployment.clean.begin() as connection:
        clean.delete_batch(connection, SOURCE, 1)
    with pytest.raises(DataSetChanged, match=r"batch 0 \(scope_v0\), batch 1 \(not there at all\)\. Trigger the DAG"):
        data_set(claim)


def test_a_run_judged_under_another_scope_is_not_cleaned(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    judge(deployment, fetched(deployment, "r", 0, MIXED), scope=OLD)
    assert run("r") == FAILED
    assert f"the run was judged under {OLD}, this code cleans by {SCOPE_VERSION}" in said(capsys)
    assert left(deployment.clean) == [[], [], [], []]


def cleaned_before(deployment: Deployment) -> Claim:
    """Return the claim of a run that was cleaned under another scope, and interrupted then."""
    claim = judged(deployment)
    assert run("r") == DONE
    with deployment.clean.connect() as connection:
        (digest,) = connection.scalars(text("SELECT digest FROM cleanings"))
    second = claimed(deployment, "r2", 0)
    deployment.complete(second, "validate", adopting=claim)
    deployment.complete(second, "clean", digest, {"scope_version": OLD})
    return second


def test_what_was_cleaned_under_another_scope_is_not_adopted(deployment: Deployment) -> None:
    deployment.claim("later", 0, done="validate", adopting=cleaned_before(deployment))
    assert run("later") == DONE
    done = completions(deployment)[-1]
    assert (done["adopted_from"], done["summary"]["scope_version"]) == (None, SCOPE_VERSION)  # type: ignore[index]


def test_what_was_cleaned_under_another_scope_stays_done_for_its_own_run(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    cleaned_before(deployment)
    leave_behind(deployment, 0)
    before = left(deployment.clean)
    assert run("r2") == DONE
    assert "this step was done before" in said(capsys)
    assert left(deployment.clean) == before


def forget_cleanings(deployment: Deployment) -> None:
    """Leave CLEAN as it was before it said by which scope its batches were made."""
    with deployment.clean.begin() as connection:
        connection.execute(text("DELETE FROM cleanings"))


def test_a_run_from_before_the_scope_was_told_is_cleaned_to_the_digest_of_before(deployment: Deployment) -> None:
    judge(deployment, fetched(deployment, "r", 0, KNOWN), scope=None)
    assert run("r") == DONE
    assert [done["digest"] for done in completions(deployment)] == [KNOWN_DIGEST]
    engine = create_engine(deployment.databases.url("raw"))
    with engine.connect() as source, deployment.clean.connect() as sorting:
        assert rebuild(source, sorting, SOURCE, [0]).clean_digests == {0: KNOWN_DIGEST}
    engine.dispose()


def test_clearing_a_run_from_before_the_scope_was_told_changes_nothing(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    judge(deployment, fetched(deployment, "r", 0, KNOWN))
    assert run("r") == DONE
    forget_cleanings(deployment)
    deployment.complete(judge(deployment, claimed(deployment, "r2", 0), scope=None), "clean", KNOWN_DIGEST)
    before, done = left(deployment.clean), completions(deployment)
    assert run("r2") == DONE
    assert "this step was done before" in said(capsys)
    assert (left(deployment.clean), completions(deployment)) == (before, done)


def test_batches_from_before_the_scope_was_told_are_of_the_first_and_stay(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = two_finished(deployment)
    before, written = data_set(claim), [versions(deployment, number) for number in range(2)]
    forget_cleanings(deployment)
    assert data_set(claim) == before
    judged(deployment, "last", 2)
    assert run("last") == DONE
    assert [versions(deployment, number) for number in range(2)] == written
    assert completions(deployment)[-1]["summary"]["recleaned"] == {}  # type: ignore[index]
    monkeypatch.setattr("steps.common.store.cleanings.SCOPE_VERSION", "scope_v2")
    with pytest.raises(DataSetChanged, match=r"batch 0 \(scope_v1\), batch 1 \(scope_v1\)"):
        data_set(claim)


@pytest.mark.parametrize(("batch", "recleaned"), [(0, ["0"]), (1, [])])
def test_nothing_is_adopted_while_a_batch_of_the_data_set_is_of_another_scope(
    deployment: Deployment, batch: int, recleaned: list[str]
) -> None:
    judged(deployment, "r0", 0, "SKIP")
    assert run("r0") == DONE
    interrupted = judged(deployment, "r", 1)
    assert run("r") == DONE
    with deployment.databases.connect("clean", SUPERUSER) as connection:
        connection.execute("UPDATE cleanings SET scope_version = %s WHERE batch_number = %s", (OLD, batch))
    later = deployment.claim("later", 1, done="validate", adopting=interrupted)
    assert run("later") == DONE
    done = completions(deployment)[-1]
    assert (done["adopted_from"], list(done["summary"]["recleaned"])) == (None, recleaned)  # type: ignore[index]
    assert data_set(later).batches == (0, 1)
