"""The evaluate step on a real ledger, CLEAN and MLflow: what it leaves behind, twice, at once, killed on the way."""

import re
from io import BytesIO

import numpy as np
import pytest
from sqlalchemy import text

from steps.common import bundle
from steps.common import evidence as figures
from steps.common.evidence import PAIRED_ROWS, Evidence
from steps.common.step import DONE, FAILED, FENCED, NOTHING_TO_DO, RETRY
from steps.common.tracking import pipeline_run
from steps.evaluate.scores import metrics, rows_digest
from tests.servers import ROOT
from tests.steps.deployment import Deployment, change_a_byte
from tests.steps.evaluate import stages
from tests.steps.evaluate.stages import completed, everything, evidence, promote, run, trained, weak_champion

BOUNDARIES = re.findall(
    r"\w+", (ROOT / "steps/evaluate/__main__.py").read_text().partition("Commit boundaries: ")[2].partition("\n")[0]
)


pytestmark = pytest.mark.usefixtures("led_here")


def test_a_first_model_is_measured_beside_the_median(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    claim, version = trained(deployment, "r0")
    assert run("r0") == DONE
    found = evidence(deployment, claim, None)
    measured = Evidence.model_validate(found.evidence)
    rows = stages.test_rows(deployment, 0)
    assert (measured.rows, measured.rows_digest) == (len(rows), rows_digest(rows))
    assert (measured.champion, measured.gain, measured.alias_ever_set) == (None, None, False)
    files = deployment.folder / f"model of {claim.claim_id}" / bundle.FOLDER
    assert measured.candidate.metrics == metrics(rows.price, bundle.load(files).prices(rows.columns))
    median = float(np.median(stages.train_part(deployment, 0).price))
    assert measured.baseline == metrics(rows.price, np.full(len(rows), median))
    assert measured.candidate.metrics.rmse < 0.6 * measured.baseline.rmse  # type: ignore[operator]  # both are known
    assert found.sha == figures.sha(found.evidence)
    done = completed(deployment, claim)
    assert done is not None
    assert (done.digest, done.summary["candidate"]["version"]) == (found.sha, version)
    assert "No test row has zip_seen no." in measured.notes
    why = f"There is no champion beside version {version}, so there is no change to explain."
    assert stages.explanation(deployment, claim, None).paragraph == (why,)
    assert "RMSE" in capsys.readouterr().out.split("─" * 78)[-2]


def test_a_better_candidate_its_errors_plots_and_metrics(deployment: Deployment) -> None:
    champion = weak_champion(deployment)
    claim, version = trained(deployment, "r1", 1)
    assert run("r1") == DONE
    measured = Evidence.model_validate(evidence(deployment, claim, champion).evidence)
    errors = np.load(BytesIO(stages.stored(deployment, measured.errors.uri).read_bytes()))
    rows = stages.test_rows(deployment, 1)
    assert errors["property_id"].tolist() == np.unique(rows.property_id).tolist()
    assert errors["rows"].sum() == len(rows)
    for number, model in ((version, measured.candidate), (champion, measured.champion)):
        assert model is not None
        mean = errors[f"squared_{number}"].sum() / len(rows)
        assert np.sqrt(mean) == pytest.approx(model.metrics.rmse)
    mlflow_run = pipeline_run(deployment.tracking, claim)
    place = f"evaluation/against_{champion}"
    names = {found.path.removeprefix(f"{place}/") for found in deployment.tracking.list_artifacts(mlflow_run, place)}
    assert names == {
        "errors.npz", "evidence.json", "residuals.png", "predicted_and_actual.png", "beeswarm_candidate.png",
        "beeswarm_champion.png", "explanation.json", "why_it_changed.html", "error_change.png", "gain.png",
        "shap_change.png",
    }  # fmt: skip
    explained = stages.explanation(deployment, claim, champion)
    assert explained.table is not None
    assert {(cell.model, cell.on): cell.rmse.point for cell in explained.table.cells}["candidate", "all"] == (
        pytest.approx(measured.candidate.metrics.rmse)
    )
    assert None not in {explained.error_change, explained.gain_split, explained.attributions}
    tags = deployment.tracking.get_run(mlflow_run).data.tags
    assert tags["appraiser.evaluate.why"].split("\n")[0] == explained.paragraph[0]
    logged = deployment.tracking.get_run(mlflow_run).data.metrics
    assert logged["candidate_rmse"] == pytest.approx(measured.candidate.metrics.rmse)
    assert {"champion_rmse", "baseline_rmse", "gain_low", "gain_high", "noise_floor_share"} <= set(logged)
    assert {part.by for part in measured.slices} == {"batch", "state", "price_band", "status", "zip_seen"}
    status = [part for part in measured.slices if part.by == "status"]
    assert {part.value for part in status} == {"for_sale", "sold"}
    assert sum(part.rows for part in status) == measured.rows
    assert all(part.ratio is not None for part in status if part.rows >= PAIRED_ROWS)
    assert promote("r1") == DONE
    assert deployment.aliases() == (version, champion)


def test_a_batch_without_test_rows_has_its_sentence_and_none_at_all_is_refused(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    claim, _ = trained(deployment, "r0")
    trained(deployment, "r1", 1)
    with deployment.clean.begin() as connection:
        connection.execute(text("DELETE FROM listings WHERE bucket < 20 AND batch_number = 0"))
    assert run("r0") == FAILED
    assert "no listing of batches (0,) is in the test part" in capsys.readouterr().out
    assert deployment.rows("evidence") == []
    assert run("r1") == DONE
    assert "No test row has batch 0." in str(deployment.rows("evidence"))
    del claim


def test_what_cannot_be_explained_or_drawn_holds_up_no_promotion(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("by a test")

    monkeypatch.setattr("steps.evaluate.shift.decompose", broken)
    monkeypatch.setattr("steps.evaluate.change_plots.draw", broken)
    champion = weak_champion(deployment)
    claim, version = trained(deployment, "r1", 1)
    assert run("r1") == DONE
    found = stages.explanation(deployment, claim, champion)
    why = "The change of the champion's error could not be computed: ZeroDivisionError: by a test."
    assert (found.error_change, found.notes, found.paragraph[-1]) == (None, (why,), why)
    assert None not in {found.table, found.gain_split, found.attributions}
    assert promote("r1") == DONE
    assert deployment.aliases() == (version, champion)


def test_run_again_it_repeats_nothing(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    trained(deployment, "r0", trees=8)
    assert (run("r0"), promote("r0")) == (DONE, DONE)
    trained(deployment, "r1", 1)
    assert run("r1") == DONE
    before = everything(deployment)
    assert run("r1") == DONE
    assert everything(deployment) == before
    assert "nothing repeated" in capsys.readouterr().out
    assert promote("r1") == DONE
    # The champion is another now, but this run's decision was taken: clearing it is no new comparison.
    before = everything(deployment)
    assert (run("r1"), run("r0")) == (DONE, DONE)
    assert everything(deployment) == before


def test_two_at_once_measure_once(deployment: Deployment) -> None:
    trained(deployment, "r0")
    both = [deployment.start("evaluate", "--run-id", "r0") for _ in range(2)]
    assert [one.wait(600) for one in both] == [DONE, DONE]
    outputs = [one.communicate()[0] for one in both]
    assert len(deployment.rows("evidence")) == 1
    assert sum("done before" in output for output in outputs) == 1


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_killed_at_a_boundary_and_run_again_ends_as_if_it_had_not_been(deployment: Deployment, boundary: str) -> None:
    claim, version = trained(deployment, "r0")
    killed = deployment.run("evaluate", "--run-id", "r0", killed_at=boundary)
    assert killed.returncode == -9, killed.stdout + killed.stderr
    assert run("r0") == DONE
    (row,) = deployment.rows("evidence")
    assert (row["claim_id"], row["candidate_version"], row["champion_version"]) == (claim.claim_id, version, 0)
    done = completed(deployment, claim)
    assert done is not None
    assert done.digest == row["sha"]
    assert promote("r0") == DONE


def test_taken_up_by_the_next_attempt_it_is_adopted(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    first, _ = trained(deployment, "r1")
    assert run("r1") == DONE
    second = deployment.claim("r2", 0, done="train", adopting=first)
    assert run("r2") == DONE
    assert "adopted from an earlier attempt" in capsys.readouterr().out
    done = completed(deployment, second)
    assert done is not None
    assert done.adopted_from == first.claim_id
    assert len(deployment.rows("evidence")) == 1
    assert promote("r2") == DONE
    tags = deployment.tracking.get_run(pipeline_run(deployment.tracking, second)).data.tags
    assert tags["appraiser.evaluate.adopted_from"] == "r1"


def test_errors_that_were_lost_or_changed_are_measured_again(deployment: Deployment) -> None:
    claim, _ = trained(deployment, "r0")
    assert run("r0") == DONE
    found = evidence(deployment, claim, None)
    errors = stages.stored(deployment, found.evidence["errors"]["uri"])
    content = errors.read_bytes()
    change_a_byte(errors)
    assert run("r0") == DONE
    assert errors.read_bytes() == content
    errors.unlink()
    assert run("r0") == DONE
    assert errors.read_bytes() == content
    assert evidence(deployment, claim, None) == found


def test_an_earlier_attempt_writes_nothing(deployment: Deployment) -> None:
    trained(deployment, "r0")
    deployment.claim("r1", 0)
    before = everything(deployment)
    assert run("r0") == FENCED
    assert everything(deployment) == before


def test_mlflow_down_is_a_sentence_and_another_try(
    deployment: Deployment, free_port: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(deployment, "r0")
    monkeypatch.setenv("APPRAISER_MLFLOW_URL", f"http://127.0.0.1:{free_port}")
    assert run("r0") == RETRY
    printed = capsys.readouterr().out
    assert f"APPRAISER_MLFLOW_URL: no answer from http://127.0.0.1:{free_port}" in printed
    assert "Traceback" not in printed


def test_a_run_that_was_not_trained_is_refused(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    deployment.claim("r0", 0, done="tune")
    assert (run("r0"), run("nobody")) == (FAILED, FAILED)
    assert "train has not completed for run r0" in capsys.readouterr().out


def test_the_noise_floor_is_measured_once_for_a_search_space(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(deployment, "r0")
    trained(deployment, "r1", 1)
    trained(deployment, "r2", 2, search_space="space_v2")
    assert run("r0") == DONE
    assert "measuring_noise_floor" in capsys.readouterr().out
    assert run("r1") == DONE
    assert "measuring_noise_floor" not in capsys.readouterr().out
    assert run("r2") == DONE
    assert "measuring_noise_floor" in capsys.readouterr().out
    first, second, third = (row["evidence"]["noise_floor"] for row in deployment.rows("evidence"))
    assert first == second
    assert first["search_space"] != third["search_space"]
    assert 0 < first["share"] < 0.2


def test_worse_is_for_promote_to_say(deployment: Deployment) -> None:
    trained(deployment, "r0")
    assert (run("r0"), promote("r0")) == (DONE, DONE)
    trained(deployment, "r1", 1, share=0.05, trees=5)
    assert (run("r1"), promote("r1")) == (DONE, NOTHING_TO_DO)
    assert deployment.rows("outcomes")[-1]["outcome"] == "REJECT"
