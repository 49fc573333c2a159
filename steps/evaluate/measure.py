"""The comparison at work: finds the versions, scores them on the test rows, keeps errors and plots, writes evidence.

The explanation is committed together with the evidence: there is never one without the other.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from steps.common import bundle, dataset, registry
from steps.common import evidence as written
from steps.common.artifacts import Artifact, FileBroken, download
from steps.common.evidence import Evidence, NoiseFloor, Stored
from steps.common.explanation import Explanation
from steps.common.listing import SCOPE_VERSION
from steps.common.logs import committed, log
from steps.common.registry import ChampionLost
from steps.common.resampling import properties
from steps.common.step import Job, Refused, Result
from steps.common.store import ledger, models
from steps.common.store.clean import Listings
from steps.common.store.ledger import Alert, Completion
from steps.common.tracking import Tracking, log_metrics, pipeline_run, tag
from steps.evaluate import explaining, infrastructure, noise
from steps.evaluate.contenders import Contender, Unusable, enter, same_scope, unscored
from steps.evaluate.evaluate import Comparison, Entry, evaluate
from steps.evaluate.report import lines, reasons, series, summary
from steps.evaluate.scores import constant, errors_file

# Versions promoted before that are scored beside candidate and champion, newest first.
HISTORY: Final = 10
_ERRORS: Final = "errors.npz"
_RECHECK_SECONDS: Final = 60.0
# How the note begins that the alert is made of.
_UNUSABLE: Final = "The champion cannot be compared with:"


class NothingToTestOn(Refused):
    """No listing of the data set is in the test part."""


@dataclass
class Measurement:
    """One comparison in the making: the versions, a folder for files, and what is to be said about it."""

    job: Job
    tracking: Tracking
    candidate_version: int
    champion_version: int | None
    folder: Path
    notes: list[str] = field(default_factory=list)

    @cached_property
    def frozen(self) -> dataset.FrozenList:
        """Return the run's data set."""
        return dataset.frozen_list(self.job)

    @cached_property
    def rows(self) -> Listings:
        """Return the test part."""
        found = dataset.read_test(self.job.clean, self.frozen)
        if not len(found):
            raise NothingToTestOn(
                f"no listing of batches {self.frozen.batches} is in the test part: nothing can be told"
            )
        return found

    @cached_property
    def train(self) -> Listings:
        """Return the train part, for fits that say how far a comparison can be trusted and what it is due to."""
        return dataset.read_train(self.job.clean, self.frozen)

    @cached_property
    def run(self) -> str:
        """Return the MLflow run of this pipeline run."""
        return pipeline_run(self.tracking, self.job.claim)

    @cached_property
    def place(self) -> str:
        """Return where the files of this comparison lie in the run's artifacts."""
        return f"evaluation/against_{self.champion_version or 'none'}"

    def enter(self, version: int) -> Contender:
        """Return a version scored on the test part; raise Unusable."""
        log().info("scoring", version=version, rows=len(self.rows))
        return enter(self.job, self.tracking, version, self.rows, self.folder / "versions")

    def champion(self, candidate: Contender) -> Contender | None:
        """Return the champion; None where there is none, or none that can be scored, which is noted."""
        if self.champion_version in {None, candidate.version}:
            return candidate if self.champion_version else None
        assert self.champion_version is not None  # noqa: S101  # told to mypy
        try:
            found = self.enter(self.champion_version)
        except Unusable as error:
            if registry.champion(self.tracking) is None:
                raise ChampionLost(
                    f"the alias is gone and what it named before cannot stand in for it: {error}"
                ) from error
            self.notes.append(f"{_UNUSABLE} {error}.")
            return None
        if not same_scope(found):
            self.notes.append(
                f"The champion was trained on houses of {found.card['scope_version']}, the test rows are those of "
                f"{SCOPE_VERSION}: the comparison starts anew."
            )
        return found

    def history(self, entered: set[int]) -> Iterator[Contender]:
        """Return versions that were in production before, newest first, as far as they can be scored."""
        with self.job.ledger.connect() as connection:
            promoted = models.promoted_versions(connection)
        beside = registry.previous(self.tracking)
        wanted = dict.fromkeys([*([beside] if beside else []), *promoted])
        for version in [version for version in wanted if version not in entered][:HISTORY]:
            try:
                found = self.enter(version)
            except Unusable as error:
                self.notes.append(f"Not scored beside them: {error}.")
                continue
            if same_scope(found):
                yield found
            else:
                self.notes.append(f"Not scored beside them: version {version} is of {found.card['scope_version']}.")

    def noise_floor(self, candidate: Contender) -> NoiseFloor:
        """Return the noise floor of the candidate's search space, measured now if nobody has before."""
        # Other features make another luck of training.
        space = f"{candidate.card['search_space']} on {candidate.card['features_version']}"
        with self.job.ledger.connect() as connection:
            known = noise.reusable(models.noise_floor(connection, space), space, int(candidate.card["rows"]))
        if known is not None:
            return known
        log().info("measuring_noise_floor", search_space=space)
        parameters, trees = candidate.card["parameters"], int(candidate.card["trees"])
        return noise.measure(self.train, self.rows, parameters, trees, space, self.job.settings.threads)


def perform(job: Job) -> Result:
    """Measure the run's candidate against the version in production and write the evidence down."""
    tracking = Tracking(job.settings)
    champion = registry.incumbent(tracking, job.ledger)
    with job.ledger.connect() as connection:
        candidate = models.version_of_claim(connection, job.claim)
        known = models.evidence(connection, job.claim.claim_id, champion or 0)
    if candidate is None:
        raise Refused(f"the ledger has no model version of run {job.run_id}, though train has completed")
    with TemporaryDirectory() as folder:
        at_work = Measurement(job, tracking, candidate.version, champion, Path(folder))
        if known is None or not _still_good(tracking, known):
            known = _measure(at_work)
        found = Evidence.model_validate(known.evidence)
        with job.ledger.connect() as connection:
            why = models.explanation(connection, job.claim.claim_id, champion or 0)
        told = Explanation.model_validate(why.explanation).paragraph if why else ()
        log_metrics(tracking, at_work.run, series(found))
        tag(tracking, at_work.run, {"evaluate.why": "\n".join(told)})
    shown = [*lines(found, champion), *reasons(told)]
    return Result(known.sha, summary(found, champion), shown, alerts=_alerts(found))


def _alerts(found: Evidence) -> list[Alert]:
    """Return what somebody should look at, from the evidence: whoever finds it measured raises it all the same."""
    if found.champion is None or found.champion.version in found.scored:
        return []
    return [Alert("CHAMPION_UNUSABLE", note) for note in found.notes if note.startswith(_UNUSABLE)]


def recheck(job: Job, completion: Completion) -> str | None:
    """Return the digest of the evidence if it is still the one to decide from.

    Not when the champion changed since, or the scope did, or the stored errors are gone. Once this run's promote has
    decided, or set the alias to the candidate, what has changed since is no matter.
    """
    measured = completion.adopted_from or completion.claim_id
    against = int(completion.summary["champion_version"] or 0)
    with job.ledger.connect() as connection:
        found = models.evidence(connection, measured, against)
        decided = ledger.completion(connection, job.claim.claim_id, "promote") is not None
        promoting = found is not None and models.promoting(connection, found.candidate_version)
    if found is None:
        return None
    if decided:
        return found.sha
    tracking = Tracking(job.settings)
    now = registry.incumbent(tracking, job.ledger) or 0
    # Set to the candidate by hand it is another champion: whoever decided from this would find it STALE for ever.
    unchanged = now == against or (promoting and now == found.candidate_version)
    return found.sha if unchanged and _still_good(tracking, found) else None


def _still_good(tracking: Tracking, known: models.Evidence) -> bool:
    """Tell whether evidence is of today's scope and the errors it rests on are in the store as they were."""
    found = Evidence.model_validate(known.evidence)
    if found.noise_floor.scope_version != SCOPE_VERSION:
        return False
    errors = Artifact(found.errors.uri, found.errors.sha256, found.errors.bytes)
    with TemporaryDirectory() as folder:
        try:
            download(tracking.address, errors, Path(folder) / _ERRORS, time.monotonic() + _RECHECK_SECONDS)
        except FileBroken as error:
            log().warning("errors_gone", why=str(error))
            return False
    return True


def _measure(at_work: Measurement) -> models.Evidence:
    candidate = at_work.enter(at_work.candidate_version)
    champion = at_work.champion(candidate)
    contenders = {one.version: one for one in (candidate, champion) if one}
    contenders |= {one.version: one for one in at_work.history({candidate.version, at_work.champion_version or 0})}
    files = at_work.folder / "files"
    files.mkdir()
    errors = _store_errors(at_work, files, list(contenders.values()))
    log().info("comparing", candidate=candidate.version, champion=at_work.champion_version)
    found = evaluate(_comparison(at_work, candidate, champion, contenders, errors))
    (files / "evidence.json").write_text(found.model_dump_json(indent=1), encoding="utf-8")
    why = explaining.explained(
        files, at_work.rows, candidate, champion, against=at_work.champion_version, batches=at_work.frozen.batches,
        batch=at_work.job.claim.batch_number, noise=found.noise_floor.share, threads=at_work.job.settings.threads,
        train=lambda: at_work.train,
    )  # fmt: skip
    at_work.tracking.log_artifacts(at_work.run, str(files), at_work.place)
    committed("artifacts")
    return _append(at_work, found, why)


def _store_errors(at_work: Measurement, files: Path, contenders: list[Contender]) -> Stored:
    content = errors_file(at_work.rows, properties(at_work.rows.property_id), [one.scored for one in contenders])
    (files / _ERRORS).write_bytes(content)
    home = str(at_work.tracking.get_run(at_work.run).info.artifact_uri)
    return Stored(
        uri=f"{home}/{at_work.place}/{_ERRORS}", sha256=hashlib.sha256(content).hexdigest(), bytes=len(content)
    )


def _comparison(
    at_work: Measurement, candidate: Contender, champion: Contender | None, contenders: dict[int, Contender],
    errors: Stored,
) -> Comparison:  # fmt: skip
    rows, job = at_work.rows, at_work.job
    median = dataset.median_train_price(job.clean, at_work.frozen)
    if median is None:
        raise Refused(f"the train part of batches {at_work.frozen.batches} is empty, so there is no median price")
    previous = contenders.get(registry.previous(at_work.tracking) or 0)
    with job.ledger.connect() as connection:
        alias_ever_set = models.newest_setting(connection) is not None
    return Comparison(
        rows=rows,
        batches=at_work.frozen.batches,
        known_zips=candidate.bundle.encodings.look_ups["zip_price"].values.keys(),
        candidate=Entry(candidate.model(rows), candidate.scored),
        champion=_champion_entry(at_work, champion),
        previous=previous.model(rows) if previous else None,
        baseline=constant(rows, median),
        alias_ever_set=alias_ever_set,
        noise_floor=at_work.noise_floor(candidate),
        infrastructure=infrastructure.check(at_work.folder / "versions" / str(candidate.version) / bundle.FOLDER),
        errors=errors,
        scored=list(contenders),
        notes=at_work.notes,
    )


def _champion_entry(at_work: Measurement, champion: Contender | None) -> Entry | None:
    if champion is not None:
        return Entry(champion.model(at_work.rows), champion.scored)
    return Entry(unscored(at_work.champion_version), None) if at_work.champion_version else None


def _append(at_work: Measurement, found: Evidence, why: Explanation) -> models.Evidence:
    plain, job = found.model_dump(mode="json"), at_work.job
    against = at_work.champion_version or 0
    key = (job.claim.claim_id, against, at_work.candidate_version)
    new = models.Evidence(*key, written.sha(plain), plain)
    with job.ledger.begin() as connection:
        ledger.refuse_if_fenced(connection, job.claim)
        models.append_evidence(connection, new)
        models.append_explanation(connection, models.Explanation(*key, why.model_dump(mode="json")))
        kept = models.evidence(connection, job.claim.claim_id, against)
    committed("evidence")
    # Measured again after its errors were lost, a comparison is the same but for timings; the first one stays.
    if kept is None or not _still_good(at_work.tracking, kept):
        raise Refused(f"run {job.run_id} was measured before on other rows or under another scope; the next run is new")
    return kept
