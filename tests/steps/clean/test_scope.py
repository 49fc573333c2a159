"""The clean step after a change of the model's scope: no data set of two scopes, and nothing made twice without one."""

import argparse
import os

import pytest
from sqlalchemy import text

from steps.common import dataset, settings
from steps.common.dataset import DataSetChanged, FrozenList
from steps.common.listing import SCOPE_VERSION
from steps.common.step import DONE, FAILED, Job
from steps.common.store.ledger import Claim
from tests.steps.batches import claimed, fetched, leave_behind
from tests.steps.clean.test_step import MIXED, completions, judge, judged, left, run, said
from tests.steps.deployment import Deployment

pytestmark = pytest.mark.usefixtures("led_here")

OLD = "scope_v0"


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
        connection.execute(text("DELETE FROM cleanings WHERE batch_number = 1"))
    with pytest.raises(DataSetChanged, match=r"batch 0 \(scope_v0\), batch 1 \(no known scope\)\. Trigger the DAG"):
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
