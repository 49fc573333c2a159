"""`python -m steps.promote --what-if`: the stored history beside the same under another policy, and nothing written."""

import hashlib
import io
import json
import re
from typing import Any

import numpy as np
import pytest

from steps.common.step import DONE, FAILED, NOTHING_TO_DO
from steps.common.store import ledger
from steps.common.store.ledger import Claim, Completion, Verdict
from steps.common.tracking import pipeline_run
from steps.promote import act, promote, what_if
from tests.steps.deployment import Deployment, change_a_byte
from tests.steps.promote import stages
from tests.steps.promote.evidence import evidence
from tests.steps.promote.stages import Evaluated, measure
from tests.steps.promote.test_rejudging import quiet
from tests.steps.promote.test_what_if import judged_train, previous

HOUSES = 1000

pytestmark = pytest.mark.usefixtures("led_here")


def judge(deployment: Deployment, claim: Claim, verdict: Verdict, outcome: str | None = None) -> None:
    """Write validate's verdict down, and clean's outcome where it ends the batch."""
    told = Verdict(verdict.verdict, [{"code": "C", "sentence": "as validate said"}], verdict.report, verdict.policy)
    with deployment.ledger.begin() as connection:
        ledger.append_completion(connection, Completion(claim.claim_id, "validate", 0, "d", {}, None, 0.0), told, None)
    deployment.complete(claim, "clean", outcome=outcome)


def stored_errors(deployment: Deployment, claim: Claim, rmse: dict[int, float]) -> dict[str, Any]:
    """Put the squared errors of some versions into the artifact store, as evaluate does; return where and what."""
    arrays: dict[str, Any] = {
        f"squared_{version}": error**2 * (0.5 + np.arange(HOUSES) % 2) for version, error in rmse.items()
    }
    content = io.BytesIO()
    np.savez_compressed(content, property_id=np.arange(HOUSES), rows=np.ones(HOUSES, np.int32), **arrays)
    (deployment.folder / "errors.npz").write_bytes(content.getvalue())
    run = pipeline_run(deployment.tracking, claim)
    deployment.tracking.log_artifact(run, str(deployment.folder / "errors.npz"), "evaluation")
    return {
        "uri": f"{deployment.tracking.get_run(run).info.artifact_uri}/evaluation/errors.npz",
        "sha256": hashlib.sha256(content.getvalue()).hexdigest(), "bytes": len(content.getvalue()),
    }  # fmt: skip


def decided(
    deployment: Deployment, batch: int, champion: int | None, scored: dict[int, float], **changes: Any
) -> Evaluated:
    """Bring a run through promote, as `compared` brings it there."""
    ready = compared(deployment, batch, champion, scored, **changes)
    assert stages.run(ready.run_id) in {DONE, NOTHING_TO_DO}
    return ready


def compared(
    deployment: Deployment, batch: int, champion: int | None, scored: dict[int, float], **changes: Any
) -> Evaluated:
    """Bring a run to promote: its candidate, the next version, and the RMSE of it and of others scored beside."""
    claim = deployment.claim(f"run {batch}", batch, done="fetch")
    judge(deployment, claim, judged_train())
    deployment.complete(claim, "tune")
    version = deployment.version(claim)
    deployment.complete(claim, "train")
    found = evidence(
        scored[version], scored[champion] if champion else None, candidate_version=version,
        champion_version=champion or 1, errors=stored_errors(deployment, claim, scored), **changes,
    )  # fmt: skip
    measure(deployment, claim, version, champion, found)
    return Evaluated(claim, version, champion)


def skipped(deployment: Deployment, batch: int) -> None:
    """Bring a run through validate and clean, which end it."""
    judge(deployment, deployment.claim(f"run {batch}", batch, done="fetch"), quiet(), "SKIP")


@pytest.fixture
def history(led_here: Deployment) -> Deployment:
    """Return a deployment that promoted its first model, held its second, promoted its third and skipped a batch."""
    decided(led_here, 0, None, {1: 60_000})
    decided(led_here, 1, 1, {1: 60_000, 2: 59_900})
    decided(led_here, 2, 1, {1: 61_000, 3: 50_000}, previous=previous(1, 61_000))
    skipped(led_here, 3)
    return led_here


def policy_of(deployment: Deployment, text: str) -> str:
    path = deployment.folder / "policy.yaml"
    path.write_text(text)
    return str(path)


class Asked:
    """Asks what if, and returns the closing block with single spaces."""

    def __init__(self, deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
        self._deployment = deployment
        self._capsys = capsys

    def __call__(self, policy: str, exit_code: int = DONE) -> str:
        """Ask about a policy, given as a file's text."""
        self._capsys.readouterr()
        assert stages.main("--what-if", policy_of(self._deployment, policy)) == exit_code
        return block(self._capsys.readouterr().out)


def block(printed: str) -> str:
    """Return the closing block with single spaces."""
    return re.sub(r" +", " ", printed.split("─\n")[-2])


@pytest.fixture
def asked(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> Asked:
    return Asked(deployment, capsys)


def test_a_laxer_policy_beside_the_history_and_nothing_is_written(history: Deployment) -> None:
    before = history.everything()
    policy = policy_of(history, "promote: {confidence: 0}\nvalidate: {psi: 0.1}")
    ended = history.run("promote", "--what-if", policy)
    assert ended.returncode == DONE, ended.stdout + ended.stderr
    said = block(ended.stdout)
    assert history.everything() == before
    assert "promote with confidence 0.0" in said
    assert "batch 0 · version 1 PROMOTE PROMOTE" in said
    assert "batch 1 · version 2 HOLD PROMOTE" in said
    assert "as stored Cannot tell: the gain in RMSE is $100" in said
    assert "otherwise Literal rule (confidence 0): RMSE $59,900 is lower than the champion's $60,000." in said
    assert "batch 2 · version 3 PROMOTE unknown" in said
    assert "otherwise version 2 was not scored on the houses it was tested on" in said
    assert "batch 3 SKIP unknown" in said
    assert "champions as stored: 1 → 3" in said
    assert "otherwise it depends on who the champion would have been" in said
    assert "otherwise: 1 → 2 → 2 or 3\n" in said
    assert "RMSE at batch 1 version 1 $60,000, version 2 $59,900 (100,000 test rows)" in said
    assert "RMSE at batch 2 version 1 $61,000, version 2 unknown, version 3 $50,000 (100,000 test rows)" in said
    assert "trainings as stored: 3, of which 1 for a version that was never promoted" in said
    assert "otherwise: 3, of which 0 for a version that was never promoted, unknown of 1" in said
    assert (
        "assumed candidates as they were trained, whoever was champion; a SKIP of which nobody knows stayed one" in said
    )


@pytest.mark.usefixtures("history")
def test_a_skip_that_another_threshold_would_have_trained(asked: Asked) -> None:
    said = asked(json.dumps({"validate": {"psi": 0.1}}))
    assert "batch 3 SKIP TRAIN" in said
    assert "SKIP, otherwise trained batch 3 (TRAIN: it differs from all before and a training on it pays)" in said
    assert "otherwise: 1 → 3 → 3 or a version never trained" in said


def test_a_stricter_policy_compares_by_the_stored_errors_of_another_pair(deployment: Deployment, asked: Asked) -> None:
    decided(deployment, 0, None, {1: 60_000})
    decided(deployment, 1, 1, {1: 60_000, 2: 58_000})
    decided(deployment, 2, 2, {1: 61_000, 2: 58_500, 3: 50_000}, previous=previous(1, 61_000))
    said = asked("promote: {least_gain: 0.1}")
    assert "batch 1 · version 2 PROMOTE HOLD" in said
    assert "batch 2 · version 3 PROMOTE PROMOTE" in said
    assert "otherwise Beside version 1, by the stored errors: RMSE falls from $61,000 to $50,000" in said
    assert "champions as stored: 1 → 2 → 3" in said
    assert "otherwise: 1 → 3" in said
    (row,) = [row for row in deployment.rows("evidence") if row["candidate_version"] == 3]
    place = row["evidence"]["errors"]["uri"].removeprefix("mlflow-artifacts:/")
    change_a_byte(deployment.mlflow.folder / "artifacts" / place)
    said = asked("promote: {least_gain: 0.1}")
    assert "batch 2 · version 3 PROMOTE unknown" in said
    assert "otherwise the stored errors of its comparison are gone" in said
    assert "RMSE at batch 2 version 1 unknown" in said


@pytest.mark.usefixtures("history")
def test_the_same_policy_and_moves_by_hand_tell_the_history_as_it_is(asked: Asked) -> None:
    assert stages.main("--rollback", "--reason", "too dear in Ohio") == DONE
    said = asked("")
    assert "policy as it was" in said
    assert "by hand version 1 version 1\n why too dear in Ohio" in said
    assert "champions as stored: 1 → 3 → 1\n otherwise: 1 → 3 → 1" in said
    assert "unknown" not in said


def test_a_promotion_finished_under_a_stricter_policy_is_told_as_it_is_or_unknown(
    deployment: Deployment, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided(deployment, 0, None, {1: 60_000})
    killed = compared(deployment, 1, 1, {1: 60_000, 2: 58_000})
    assert deployment.run("promote", "--run-id", killed.run_id, killed_at="alias").returncode == -9
    monkeypatch.setenv("APPRAISER_PROMOTE_POLICY", '{"least_gain": 0.5}')
    assert stages.run(killed.run_id) == DONE
    monkeypatch.delenv("APPRAISER_PROMOTE_POLICY")
    decided(deployment, 2, 2, {1: 61_000, 2: 59_000, 3: 50_000})
    said = asked("")
    assert "batch 1 · version 2 PROMOTE PROMOTE" in said
    assert "champions as stored: 1 → 2 → 3\n otherwise: 1 → 2 → 3" in said
    assert "unknown" not in said
    said = asked("promote: {least_gain: 0.001}")
    assert "batch 1 · version 2 PROMOTE unknown" in said
    assert "otherwise it was carried out under a policy that is not stored" in said


def test_a_history_of_nothing(asked: Asked) -> None:
    assert "no batch has reached a verdict yet" in asked("promote: {confidence: 0}")


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        ("promote: {confidense: 0}", "promote.confidense: Extra inputs are not permitted"),
        ("validate: {psy: 1}", "validate.psy: validate has no such threshold"),
    ],
)
def test_an_unknown_threshold_is_refused_by_its_name(asked: Asked, policy: str, sentence: str) -> None:
    assert sentence in asked(policy, FAILED)


def test_changing_decide_changes_no_stored_verdict(
    history: Deployment, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = Verdict(promote.REJECT, [{"code": "NEW_RULE", "sentence": "A new rule."}], {}, {})
    for module in (act, what_if):
        monkeypatch.setattr(module, "decide", lambda *_: new)
    before = history.everything()
    said = asked("")
    assert "batch 0 · version 1 PROMOTE REJECT" in said
    assert "batch 1 · version 2 HOLD REJECT" in said
    # A run that is done is found done, whatever would be decided now.
    assert stages.run("run 1") == NOTHING_TO_DO
    assert history.everything() == before
    assert history.aliases() == (3, 1)
