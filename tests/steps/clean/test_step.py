"""The clean step on a real PostgreSQL: what it leaves, also after kills, in two processes at once, or run again."""

import ast
import re
import subprocess

import pytest
from sqlalchemy import Engine, text

from steps.common import step
from steps.common.listing import SCOPE_VERSION
from steps.common.step import DONE, FAILED, FENCED, NOTHING_TO_DO
from steps.common.store import clean, ledger
from steps.common.store.ledger import Claim, Completion, Verdict
from tests.servers import ROOT
from tests.steps.batches import ODD, claimed, fetched, leave_behind, rows, store
from tests.steps.deployment import SOURCE, Deployment

_text = (ROOT / "steps/clean/__main__.py").read_text()
_stated = re.search(r"Commit boundaries: ([a-z_, \n]+)\.", ast.get_docstring(ast.parse(_text)) or "")
assert _stated
BOUNDARIES = [name.strip() for name in _stated[1].split(",")]
type Tables = list[list[tuple[object, ...]]]
MIXED = [*rows(50), *({**rows(1, seed=1)[0], **odd} for odd in ODD)]


pytestmark = pytest.mark.usefixtures("led_here")


def run(run_id: str) -> int:
    from steps.clean.__main__ import perform, recheck

    return step.main(step.Step("clean", perform, recheck), ["--run-id", run_id])


def judge(
    deployment: Deployment, claim: Claim, verdict: str = "TRAIN", exit_code: int = DONE,
    scope: str | None = SCOPE_VERSION,
) -> Claim:  # fmt: skip
    """Write the verdict and the frozen list down as validate would; without a scope as it did before it told one."""
    summary = {} if scope is None else {"scope_version": scope}
    done = Completion(claim.claim_id, "validate", exit_code, "d", summary, None, 0.0)
    with deployment.ledger.begin() as connection:
        ledger.append_completion(connection, done, Verdict(verdict, [], {}, {}), None)
        finished = ledger.finished_batches(connection, SOURCE)
        ledger.freeze_dataset(connection, claim.claim_id, {**finished, claim.batch_number: claim.content_sha})
    return claim


def judged(deployment: Deployment, run_id: str = "r", batch: int = 0, verdict: str = "TRAIN") -> Claim:
    return judge(deployment, fetched(deployment, run_id, batch, MIXED), verdict)


def left(engine: Engine) -> Tables:
    """Return everything in CLEAN."""
    with engine.connect() as connection:
        tables = ("listings", "refusals", "value_counts", "cleanings")
        return [
            [tuple(row) for row in connection.execute(text(f"SELECT * FROM {table} ORDER BY 1, 2, 3, 4"))]  # noqa: S608
            for table in tables
        ]


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was printed, as one line: the closing block is wrapped."""
    return " ".join(capsys.readouterr().out.split())


def completions(deployment: Deployment) -> list[dict[str, object]]:
    return [row for row in deployment.rows("completions") if row["step"] == "clean"]


def outcomes(deployment: Deployment) -> list[object]:
    return [row["outcome"] for row in deployment.rows("outcomes")]


def test_listings_refusals_and_figures_are_left(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    judged(deployment)
    assert run("r") == DONE
    listings, refusals, counts, cleanings = left(deployment.clean)
    assert (len(listings), len(refusals)) == (50, len(ODD))
    assert [row[2] for row in refusals] == list(range(50, 50 + len(ODD)))
    assert sum(row[4] for row in counts if row[2] == "status") == 50  # type: ignore[misc]
    (done,) = completions(deployment)
    with deployment.clean.connect() as connection:
        assert done["digest"] == clean.digest(connection, SOURCE, 0)
    assert cleanings == [(SOURCE, 0, SCOPE_VERSION, done["digest"])]
    assert done["summary"]["rows"] == len(MIXED)  # type: ignore[index]
    assert outcomes(deployment) == []
    block = said(capsys)
    assert "60 read, 50 kept" in block
    assert "OUT_OF_SCOPE bed 1" in block


def test_a_batch_that_is_skipped_is_cleaned_and_then_finished(deployment: Deployment) -> None:
    judged(deployment, verdict="SKIP")
    assert run("r") == DONE
    assert len(left(deployment.clean)[0]) == 50
    assert outcomes(deployment) == ["SKIP"]


def test_a_quarantined_batch_is_not_cleaned(deployment: Deployment) -> None:
    judge(deployment, fetched(deployment, "r", 0, MIXED), "QUARANTINE", FAILED)
    assert run("r") == NOTHING_TO_DO
    assert left(deployment.clean) == [[], [], [], []]


def test_no_verdict_no_cleaning(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    fetched(deployment, "r", 0, MIXED)
    assert run("r") == FAILED
    assert "validate has not completed for run r" in said(capsys)
    assert left(deployment.clean) == [[], [], [], []]


def test_again_changes_nothing_and_what_is_gone_is_made_again(deployment: Deployment) -> None:
    judged(deployment)
    assert run("r") == DONE
    before, done = left(deployment.clean), completions(deployment)
    assert run("r") == DONE
    assert (left(deployment.clean), completions(deployment)) == (before, done)
    with deployment.clean.begin() as connection:
        connection.execute(text("DELETE FROM refusals WHERE row_number = 51"))
        connection.execute(text("DELETE FROM listings WHERE row_number < 10"))
    assert run("r") == DONE
    assert (left(deployment.clean), completions(deployment)) == (before, done)


def test_another_batch_stays_as_it_is(deployment: Deployment) -> None:
    judged(deployment)
    assert run("r") == DONE
    before = left(deployment.clean)
    judged(deployment, "next", 1)
    assert run("next") == DONE
    after = left(deployment.clean)
    assert [[row for row in table if row[1] == 0] for table in after] == before


def test_a_later_attempt_adopts_what_is_there_and_fences_off_the_earlier(deployment: Deployment) -> None:
    first = judged(deployment)
    assert run("r") == DONE
    before = left(deployment.clean)
    deployment.claim("r2", 0, done="validate", adopting=first)
    assert run("r2") == DONE
    assert left(deployment.clean) == before
    with deployment.clean.begin() as connection:
        connection.execute(text("DELETE FROM refusals"))
    assert run("r") == FENCED


@pytest.fixture
def undisturbed(deployment: Deployment) -> Tables:
    """Return what CLEAN holds after batches 0, 1 and 2; then leave it with the first two under another scope."""
    for number in range(3):
        judged(deployment, f"r{number}", number, "SKIP")
        assert run(f"r{number}") == DONE
    found = left(deployment.clean)
    leave_behind(deployment, 0, 1)
    with deployment.clean.begin() as connection:
        clean.delete_batch(connection, SOURCE, 2)
    judge(deployment, claimed(deployment, "r", 2), "SKIP")
    return found


def run_again_after_a_kill(deployment: Deployment, undisturbed: Tables) -> None:
    again = deployment.run("clean", "--run-id", "r")
    assert again.returncode == DONE, again.stdout
    assert left(deployment.clean) == undisturbed
    with deployment.clean.begin() as connection:
        clean.delete_batch(connection, SOURCE, 2)
    assert run("r") == DONE
    assert left(deployment.clean) == undisturbed
    assert len(completions(deployment)) == 4
    assert outcomes(deployment) == ["SKIP"] * 4


@pytest.mark.parametrize("boundary", [*BOUNDARIES, "recleaned#2"])
def test_killed_and_run_again(deployment: Deployment, undisturbed: Tables, boundary: str) -> None:
    killed = deployment.run("clean", "--run-id", "r", killed_at=boundary)
    assert killed.returncode == -9, killed.stdout
    run_again_after_a_kill(deployment, undisturbed)


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.faults) for seed in range(3, 23))])
def test_killed_at_a_random_moment_and_run_again(deployment: Deployment, undisturbed: Tables, seed: int) -> None:
    deployment.kill_at_a_moment("clean", seed, 2.5, "--run-id", "r")
    run_again_after_a_kill(deployment, undisturbed)


def test_two_at_once_leave_one_result(deployment: Deployment) -> None:
    judged(deployment)
    both = [deployment.start("clean", "--run-id", "r") for _ in range(2)]
    ended = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [DONE, DONE], ended
    assert sum("nothing repeated" in said for said in ended) == 1
    assert len(completions(deployment)) == 1
    assert len(left(deployment.clean)[0]) == 50


def test_two_attempts_at_once_do_not_get_in_each_others_way(deployment: Deployment) -> None:
    judged(deployment)
    with deployment.clean.begin() as earlier:
        clean.take_turn(earlier, SOURCE, 0)
        clean.delete_batch(earlier, SOURCE, 0)
        waiting = deployment.start("clean", "--run-id", "r")
        # It may not come to an end before this transaction does.
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(timeout=4)
    said, _ = waiting.communicate(timeout=120)
    assert waiting.returncode == DONE, said
    assert len(left(deployment.clean)[0]) == 50


def test_half_a_batch_is_refused(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    store(deployment, 0, MIXED, count=len(MIXED) + 1)
    judge(deployment, claimed(deployment, "r", 0))
    assert run("r") == FAILED
    assert f"RAW has {len(MIXED)} rows of batch 0; it was stored with {len(MIXED) + 1}" in said(capsys)
    assert left(deployment.clean) == [[], [], [], []]


def test_a_database_that_is_not_there_is_named(deployment: Deployment) -> None:
    judged(deployment)
    url = re.sub(r":\d+/", ":1/", deployment.databases.url("clean"))
    ended = deployment.run("clean", "--run-id", "r", APPRAISER_CLEAN_URL=url)
    assert ended.returncode == step.RETRY
    assert "APPRAISER_CLEAN_URL: no answer from 127.0.0.1:1/" in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr


def test_wrong_options_and_unknown_runs(deployment: Deployment) -> None:
    assert deployment.run("clean").returncode == 2
    assert deployment.run("clean", "--run-id", "nobody").returncode == FAILED
