"""Write the artifact once: everything into a hidden folder, the manifest last, then one rename. Nothing is ever
replaced.
"""

import errno
import json
import logging
import os
import shutil
from pathlib import Path

from anneal_api.artifact import (
    MANIFEST,
    TEMPLATE_FILE,
    ArtifactError,
    BaseModelRef,
    Manifest,
    file_sha256,
    read_manifest,
    verify_files,
)
from anneal_api.curve import curve_of, svg
from anneal_api.finetunejob import RUN_FIELDS, Lora
from anneal_api.finetunejob_status import EvaluationStatus
from anneal_api.run import PrepareSummary, Progress, PublishSummary, RunSpec, Stage, run_fields
from anneal_trainer.artifacts import artifact_status, run_folder
from anneal_trainer.card import model_card
from anneal_trainer.checkpoint import describe
from anneal_trainer.errors import StorageUnavailable
from anneal_trainer.evaluate import ANSWERS_FILE, EVALUATION_FILE
from anneal_trainer.files import read_lines, sync_folder, write_atomic
from anneal_trainer.log import now
from anneal_trainer.places import Places
from anneal_trainer.results import finished, prepared, trained
from anneal_trainer.run_report import RunReport, render
from anneal_trainer.scoring import Answered

log = logging.getLogger(__name__)

CARD, REPORT, LOSS = "README.md", "report.html", "loss.svg"


def publish(run: RunSpec, places: Places) -> PublishSummary:
    """Publish the candidate, or find that an earlier attempt already did."""
    found = prepared(run, places)
    target = run_folder(run, places, found.run_hash)
    if (done := _already(run, target)) is not None:
        return done
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f".{found.run_hash}.{run.uid}.tmp"):
        shutil.rmtree(left)
    draft = target.with_name(f".{found.run_hash}.{run.uid}.tmp")
    _fill(draft, run, found, places)
    try:
        draft.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        # Somebody published the same run between our look and our rename: theirs stands.
        shutil.rmtree(draft)
    sync_folder(target.parent)
    result = _already(run, target)
    if result is None:
        raise StorageUnavailable(f"{target} exists without a {MANIFEST}. Fix: remove that folder; it is no artifact.")
    log.info("published %s (%s)", result.artifact.uri, result.artifact.digest)
    return result


def _already(run: RunSpec, target: Path) -> PublishSummary | None:
    """The artifact that stands in the target folder, checked; None when there is none."""
    try:
        found = read_manifest(target)
        if found is None:
            return None
        verify_files(target, found[0].files)
    except ArtifactError as error:
        raise StorageUnavailable(
            f"{target} is damaged: {error}. Fix: remove that folder, or set another spec.runId."
        ) from error
    return PublishSummary(artifact=artifact_status(run, *found))


def _fill(draft: Path, run: RunSpec, found: PrepareSummary, places: Places) -> None:
    """Copy all files, then describe them in the manifest."""
    draft.mkdir()
    for path in sorted(places.candidate.iterdir()):
        _copy(path, draft)
    _copy(places.metrics, draft)
    evaluation = _evaluation(places)
    if evaluation is not None:
        for name in (ANSWERS_FILE, EVALUATION_FILE):
            _copy(places.stage(Stage.EVALUATE) / name, draft)
    manifest = _manifest(run, found, evaluation, places)
    report = _report(run, manifest, places)
    write_atomic(draft / REPORT, render(report))
    write_atomic(draft / LOSS, svg("Loss", curve_of(report.progress)).encode())
    write_atomic(draft / CARD, model_card(manifest, report.trained).encode())
    files = [describe(path, draft) for path in sorted(draft.iterdir())]
    write_atomic(draft / MANIFEST, manifest.model_copy(update={"files": files}).to_bytes())


def _copy(path: Path, folder: Path) -> None:
    """Copy and sync; readable for the servers, which run as another user."""
    target = folder / path.name
    shutil.copyfile(path, target)
    target.chmod(0o644)
    with target.open("rb") as file:
        os.fsync(file.fileno())


def _report(run: RunSpec, manifest: Manifest, places: Places) -> RunReport:
    """What the workspace tells about the run."""
    answers, environment = places.stage(Stage.EVALUATE) / ANSWERS_FILE, places.environment
    return RunReport(
        manifest=manifest,
        trained=trained(run, places),
        progress=[Progress.model_validate(row) for row in read_lines(places.metrics)],
        answers=[Answered.model_validate(row) for row in read_lines(answers)] if manifest.evaluation else [],
        stages=finished(run, places),
        # A run that was trained by an older image has none.
        environment=json.loads(environment.read_bytes()) if environment.is_file() else {},
    )


def _evaluation(places: Places) -> EvaluationStatus | None:
    """The scores; None when evaluate had nothing to do."""
    path = places.stage(Stage.EVALUATE) / EVALUATION_FILE
    return EvaluationStatus.model_validate_json(path.read_bytes()) if path.is_file() else None


def _manifest(run: RunSpec, found: PrepareSummary, evaluation: EvaluationStatus | None, places: Places) -> Manifest:
    adapter = run.method.type == "lora"
    return Manifest(
        kind="adapter" if adapter else "model",
        run_hash=found.run_hash,
        created=now(),
        job={"namespace": run.namespace, "name": run.name, "uid": run.uid},
        base=BaseModelRef(
            uri=run.model.uri, revision=found.model_revision, digest=found.model_digest, family=found.family
        ),
        dataset=found.dataset,
        config=run_fields(run.to_wire(), RUN_FIELDS),
        evaluation=evaluation,
        files=[],
        lora_rank=(run.method.lora or Lora()).rank if adapter else 0,
        template_sha256=file_sha256(places.candidate / TEMPLATE_FILE),
    )
