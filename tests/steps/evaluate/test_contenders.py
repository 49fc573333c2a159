"""Versions that cannot be scored, or not be compared: changed files, other rules, versions of long ago."""

from typing import Any

import pytest

from steps.common import bundle, registry
from steps.common.evidence import Evidence
from steps.common.step import DONE, FAILED, NOTHING_TO_DO
from tests.steps.deployment import Deployment, change_a_byte
from tests.steps.evaluate.stages import evidence, explanation, promote, put_into_production, run, trained

MODEL = f"{bundle.FOLDER}/{bundle.MODEL}"


pytestmark = pytest.mark.usefixtures("led_here")


def champion(deployment: Deployment, **card_changes: Any) -> int:
    """Put a version into production by hand, whatever its card says, and return it."""
    _, version = trained(deployment, "r0", 0, share=0.2, trees=10, **card_changes)
    deployment.set_alias(version)
    return version


def test_a_candidate_whose_file_changed_is_refused(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    _, version = trained(deployment, "r0")
    change_a_byte(deployment.stored(version, MODEL))
    assert run("r0") == FAILED
    assert f"version {version} cannot be scored: FileBroken" in capsys.readouterr().out
    assert deployment.rows("evidence") == []


def test_a_candidate_of_another_split_is_refused(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    trained(deployment, "r0", split_version="split_v0")
    assert run("r0") == FAILED
    assert "was trained under split_v0, the test rows are those of split_v1" in capsys.readouterr().out


def unusable(deployment: Deployment, version: int) -> Evidence:
    """Evaluate a candidate against a champion that cannot be scored, and return what was found."""
    claim, _ = trained(deployment, "r1", 1)
    assert run("r1") == DONE
    measured = Evidence.model_validate(evidence(deployment, claim, version).evidence)
    assert measured.champion is not None
    assert (measured.champion.version, measured.champion.metrics.rmse, measured.gain) == (version, None, None)
    assert "CHAMPION_UNUSABLE" in [alert["code"] for alert in deployment.rows("alerts")]
    assert promote("r1") == NOTHING_TO_DO
    assert deployment.aliases()[0] == version
    why = f"Version {version}, in production, could not be scored, so what changed cannot be explained."
    assert explanation(deployment, claim, version).paragraph == (why,)
    (verdict,) = [row for row in deployment.rows("verdicts") if row["step"] == "promote"]
    assert (verdict["verdict"], verdict["reasons"][0]["code"]) == ("REJECT", "EVIDENCE_INCOMPLETE")
    assert "The champion cannot be compared with" in verdict["reasons"][0]["sentence"]
    return measured


def test_against_a_champion_whose_file_changed_nothing_is_promoted(deployment: Deployment) -> None:
    version = champion(deployment)
    change_a_byte(deployment.stored(version, MODEL))
    assert "is not the file the ledger knows" in unusable(deployment, version).notes[0]


@pytest.mark.parametrize("boundary", ["evidence", "artifacts"])
def test_killed_before_it_was_said_an_unusable_champion_is_alerted_all_the_same(
    deployment: Deployment, boundary: str
) -> None:
    version = champion(deployment)
    change_a_byte(deployment.stored(version, MODEL))
    trained(deployment, "r1", 1)
    deployment.run("evaluate", "--run-id", "r1", killed_at=boundary)
    assert deployment.rows("alerts") == []
    assert run("r1") == DONE
    (alert,) = deployment.rows("alerts")
    assert alert["code"] == "CHAMPION_UNUSABLE"
    assert f"version {version} cannot be scored: FileBroken" in alert["message"]


def test_against_a_champion_whose_file_is_missing_nothing_is_promoted(deployment: Deployment) -> None:
    version = champion(deployment)
    deployment.stored(version, f"{bundle.FOLDER}/{bundle.CARD}").unlink()
    assert "is not in the artifact store" in unusable(deployment, version).notes[0]


def test_against_a_champion_of_another_split_nothing_is_promoted(deployment: Deployment) -> None:
    version = champion(deployment, split_version="split_v0")
    assert "was trained under split_v0" in unusable(deployment, version).notes[0]


def test_against_a_champion_whose_features_are_gone_nothing_is_promoted(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("steps.common.features.FEATURES_VERSION", "features_v0")
        version = champion(deployment)
    assert "encodings of 'features_v0'" in unusable(deployment, version).notes[0]


def test_against_a_champion_that_is_no_model_of_ours_nothing_is_promoted(deployment: Deployment) -> None:
    champion(deployment)
    version = deployment.version(deployment.claim("by hand", 9))
    deployment.set_alias(version)
    assert "BundleBroken" in unusable(deployment, version).notes[0]


def test_with_the_alias_lost_and_previous_broken_it_fails(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (trained(deployment, f"r{batch}", batch, trees=2)[1] for batch in range(2))
    put_into_production(deployment, first)
    put_into_production(deployment, second)
    deployment.tracking.delete_model_version(registry.MODEL, str(second))
    change_a_byte(deployment.stored(first, MODEL))
    trained(deployment, "r2", 2)
    assert run("r2") == FAILED
    assert "the alias is gone and what it named before cannot stand in for it" in capsys.readouterr().out


def test_a_champion_of_another_scope_starts_the_comparison_anew(deployment: Deployment) -> None:
    version = champion(deployment, scope_version="scope_v0")
    claim, _ = trained(deployment, "r1", 1)
    assert run("r1") == DONE
    measured = Evidence.model_validate(evidence(deployment, claim, version).evidence)
    assert "The champion was trained on houses of scope_v0" in measured.notes[0]
    assert measured.gain is not None


def test_evidence_of_another_scope_is_not_reused(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    claim, version = trained(deployment, "r0")
    with monkeypatch.context() as patched:
        for module in ("noise", "measure", "contenders"):
            patched.setattr(f"steps.evaluate.{module}.SCOPE_VERSION", "scope_v0")
        assert run("r0") == DONE
    second = deployment.claim("r1", 0, done="train", adopting=claim)
    assert run("r1") == DONE
    scopes = [row["evidence"]["noise_floor"]["scope_version"] for row in deployment.rows("evidence")]
    assert scopes == ["scope_v0", "scope_v1"]
    assert evidence(deployment, second, None).candidate_version == version


def test_versions_promoted_before_are_scored_beside_them(deployment: Deployment) -> None:
    promoted = []
    for batch, trees in enumerate((4, 12, 40)):
        promoted.append(trained(deployment, f"r{batch}", batch, trees=trees)[1])
        put_into_production(deployment, promoted[-1])
    first, second, third = promoted
    change_a_byte(deployment.stored(first, MODEL))
    claim, fourth = trained(deployment, "r3", 3)
    assert run("r3") == DONE
    measured = Evidence.model_validate(evidence(deployment, claim, third).evidence)
    assert measured.scored == (fourth, third, second)
    assert measured.previous is not None
    assert measured.previous.version == second
    assert measured.notes[0].startswith(f"Not scored beside them: version {first} cannot be scored: FileBroken")


def test_at_most_ten_versions_of_before_are_scored(deployment: Deployment) -> None:
    from steps.evaluate import measure

    assert measure.HISTORY == 10
    versions = []
    for batch in range(4):
        versions.append(trained(deployment, f"r{batch}", batch, trees=2)[1])
        put_into_production(deployment, versions[-1])
    claim, candidate = trained(deployment, "r9", 4, trees=2)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(measure, "HISTORY", 2)
        assert run("r9") == DONE
    measured = Evidence.model_validate(evidence(deployment, claim, versions[3]).evidence)
    assert measured.scored == (candidate, versions[3], versions[2], versions[1])
