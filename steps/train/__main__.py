"""Train the candidate on the whole train part and register it: one version of `house-price` for a run, ever.

Parameters and tree count are the sweep's. The model goes to MLflow as a directory anybody can load, and the sha256 of
every file of it to the ledger: what differs from these is never loaded by us. A process killed on the way leaves at
worst files nobody refers to; a registered version is found again by the run's key. The test part is not read.

`--reproduce VERSION` makes a version again from RAW and says what differs, for which no run id is needed: its train
part from the rows as received, the fit with the recorded parameters, seed and threads. It writes nothing. It exits
with 0 when the same rows give the same prices, else with 100. It needs APPRAISER_RAW_URL, which the training pod is
not given: an operator sets it for this.

Commit boundaries: logged, registered, recorded, completion.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from steps.common import artifacts, bundle, dataset
from steps.common.artifacts import Artifact
from steps.common.logs import committed, log
from steps.common.registry import DOWNLOAD_SECONDS, MODEL
from steps.common.step import Job, Refused, Result, Step, main
from steps.common.store import ledger, models
from steps.common.store.ledger import Claim, Completion
from steps.common.store.models import ModelFile, ModelVersion
from steps.common.tracking import Tracking, log_metrics, nested_run, pipeline_run, run_key, tag, take_over
from steps.train import model_directory, registering, train
from steps.train.build import build
from steps.train.registering import Registered
from steps.train.reproducing import reproduce


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the errand of making a version again."""
    parser.add_argument("--reproduce", type=_version, metavar="VERSION", help="make this version again and compare")


def _version(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("versions count from 1")
    return number


class VersionGone(Refused):
    """The run's version was deleted from the registry; a version of a run is registered once and never again."""


def perform(job: Job) -> Result:
    """Return the run's version: the one in the ledger, the one in the registry, or one trained now."""
    tracking = Tracking(job.settings)
    with job.ledger.connect() as connection:
        recorded = models.version_of_claim(connection, job.claim)
        files = models.model_files(connection, recorded.version) if recorded else []
    if recorded is None:
        found = registering.find(tracking, run_key(job.claim)) or _train(job, tracking)
        recorded, files = _record(job, tracking, found), list(found.files)
    elif not registering.exists(tracking, recorded.version):
        raise VersionGone(f"version {recorded.version} of {MODEL} is in the ledger and not in the registry any more")
    run = pipeline_run(tracking, job.claim)
    tag(tracking, run, {"train.version": recorded.version})
    tracking.set_terminated(recorded.mlflow_run_id, "FINISHED")
    card = recorded.card
    summary = {
        "version": recorded.version, "rows": card["rows"], "trees": card["trees"], "batches": card["batches"],
        "fingerprint": recorded.fingerprint, "files": len(files), "bytes": sum(file.bytes for file in files),
    }  # fmt: skip
    return Result(_digest(recorded.version, files), summary, _lines(summary, card))


def _train(job: Job, tracking: Tracking) -> Registered:
    """Fit the candidate and register it."""
    tuned = job.completed("tune").summary
    frozen = dataset.frozen_list(job)
    rows = dataset.read_train(job.clean, frozen)
    began = time.monotonic()
    fitted = train.fit(rows, tuned["parameters"], int(tuned["trees"]), job.settings.threads)
    seconds = time.monotonic() - began
    log().info("fitted", rows=len(rows), trees=tuned["trees"], seconds=round(seconds, 1))
    card = train.card(
        tuned=tuned,
        frozen={
            "source_id": frozen.source_id, "fingerprint": frozen.fingerprint, "batches": list(frozen.batches),
            "content_shas": list(frozen.content_shas), "clean_digests": list(frozen.clean_digests),
        },
        rows=len(rows), threads=job.settings.threads, made=_made(job),
    )  # fmt: skip
    run = nested_run(tracking, pipeline_run(tracking, job.claim), "train", "train")
    log_metrics(tracking, run, card["metrics"], {**card["parameters"], "trees": card["trees"], "rows": len(rows)})
    examples = train.golden(rows)
    with TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "bundle").mkdir()
        bundle.write(folder / "bundle", fitted, examples, card)
        return registering.register(
            tracking, run, run_key(job.claim),
            lambda target, model: model_directory.write(target, folder / "bundle", examples[0], model, folder),
            folder, {"appraiser.fingerprint": frozen.fingerprint, "appraiser.run_id": job.run_id},
        )  # fmt: skip


def _made(job: Job) -> dict[str, Any]:
    return {
        "run_id": job.run_id,
        "batch": str(job.claim.batch_number),
        "trained_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        **build(job.settings),
    }


def _record(job: Job, tracking: Tracking, found: Registered) -> ModelVersion:
    """Write a registered version and its files into the ledger, after reading every one of them back."""
    with TemporaryDirectory() as place:
        deadline = time.monotonic() + DOWNLOAD_SECONDS
        for file in found.files:
            stored = Artifact(f"{found.artifact_uri.rstrip('/')}/{file.path}", file.sha256, file.bytes)
            artifacts.download(tracking.address, stored, Path(place) / file.path, deadline)
        bundle.verify(Path(place), {file.path: file.sha256 for file in found.files})
        read = bundle.load(Path(place) / bundle.FOLDER)
        read.check_golden()
    version = ModelVersion(
        found.version, job.claim.claim_id, found.mlflow_run_id, found.artifact_uri, read.card["fingerprint"], read.card
    )
    with job.ledger.begin() as connection:
        ledger.refuse_if_fenced(connection, job.claim)
        models.append_version(connection, version, found.files)
    committed("recorded")
    return version


def recheck(job: Job, completion: Completion) -> str | None:
    """Return the digest of the version's manifest in the ledger, if the registry still has the version."""
    version = int(completion.summary["version"])
    with job.ledger.connect() as connection:
        files = models.model_files(connection, version)
    there = bool(files) and registering.exists(Tracking(job.settings), version)
    return _digest(version, files) if there else None


def adopt(job: Job, completion: Completion, worked: Claim) -> None:
    """Tell MLflow which version this run takes over."""
    tracking = Tracking(job.settings)
    run = take_over(tracking, job.claim, worked, "train")
    tag(tracking, run, {"train.version": completion.summary["version"]})


def _digest(version: int, files: Sequence[ModelFile]) -> str:
    plain = [version, sorted((file.path, file.sha256) for file in files)]
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()


def _lines(summary: Mapping[str, Any], card: Mapping[str, Any]) -> list[tuple[str, object]]:
    return [
        ("version", f"{summary['version']} of {MODEL}"),
        ("trained on", f"{summary['rows']:,} rows of batches {', '.join(map(str, summary['batches']))}"),
        ("trees", summary["trees"]),
        ("expected", f"RMSE {card['metrics']['cv_rmse']:,.0f} dollars in cross-validation on the train part"),
        ("files", f"{summary['files']} with {summary['bytes']:,} bytes, each with its sha256 in the ledger"),
        ("fingerprint", summary["fingerprint"]),
    ]


if __name__ == "__main__":
    step = Step("train", perform, recheck, arguments, {"reproduce": reproduce}, adopt=adopt)
    sys.exit(main(step, description=__doc__))
