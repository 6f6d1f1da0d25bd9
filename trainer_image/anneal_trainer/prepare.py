"""The stage that refuses: everything that can be known to go wrong later is found here, on a CPU, within seconds.

It imports neither torch nor transformers, so that it starts fast and needs little memory.
"""

import errno
import logging
import os
import uuid
from pathlib import Path

from anneal_api.artifact import ArtifactError, digest_of, file_sha256, read_manifest
from anneal_api.finetunejob import Lora
from anneal_api.finetunejob_status import ArtifactStatus, EvaluationStatus
from anneal_api.run import PrepareSummary, RunSpec
from anneal_api.uri import parse_hub
from anneal_trainer import disk, template, token_rows
from anneal_trainer.artifacts import artifact_status, run_folder
from anneal_trainer.base_model import adapted_layers, open_model
from anneal_trainer.errors import BadConfig, StorageUnavailable
from anneal_trainer.files import write_atomic
from anneal_trainer.places import Places
from anneal_trainer.prompts import Prompt, load_prompts
from anneal_trainer.rows import load_conversations
from anneal_trainer.run_hash import run_hash
from anneal_trainer.split import divide
from anneal_trainer.tokenise import Tokenised, tokenise

log = logging.getLogger(__name__)


def prepare(run: RunSpec, places: Places) -> PrepareSummary:
    """Fetch, check, tokenise; the workspace then holds all that train needs."""
    folder, revision = _model_folder(run, places)
    model = open_model(folder, run.model.uri)
    if run.method.type == "lora":
        adapted_layers(model, run.method.lora or Lora())
    rows = load_conversations(places.source(run.dataset.uri), run.dataset.format)
    log.info("%s: %d rows", run.dataset.uri, len(rows))
    prompts, prompts_digest = _read_prompts(run, places)
    source = template.choose(run.template, folder, places.template_dir)
    tokenised = tokenise(run, model, source, divide(rows, run.dataset.split, run.training.seed), prompts)
    dataset = tokenised.status(rows=len(rows), digest="sha256:" + file_sha256(places.claim(run.dataset.uri)))
    digest = model.digest()
    summary = PrepareSummary(
        run_hash=run_hash(run, digest, digest_of(source.encode()), dataset.digest, prompts_digest),
        model_path=str(folder),
        model_digest=digest,
        model_revision=revision,
        family=model.family,
        dataset=dataset,
    )
    published = _published(run, places, summary)
    if published is not None:
        artifact, evaluation = published
        log.info("already published: %s", artifact.uri)
        return summary.model_copy(update={"already_published": artifact, "evaluation": evaluation})
    _check_output(run, places)
    disk.check_workspace(model, run.method, run.training, places)
    _store(tokenised, source, places)
    return summary


def _model_folder(run: RunSpec, places: Places) -> tuple[Path, str]:
    """The folder of the base model, fetched when it is on the hub, and its commit."""
    if (name := parse_hub(run.model.uri)) is None:
        return places.source(run.model.uri), ""
    # Imported here because only this scheme needs an HTTP stack.
    from anneal_trainer import hub

    return places.fetched_model, hub.fetch(name, run.model.revision, places.token_file, places.fetched_model)


def _read_prompts(run: RunSpec, places: Places) -> tuple[list[Prompt], str]:
    """The prompts and their file's digest; none when the run has none."""
    if run.evaluation.prompts is None:
        return [], ""
    path = places.source(run.evaluation.prompts.uri)
    prompts = load_prompts(path)
    log.info("%s: %d prompts", run.evaluation.prompts.uri, len(prompts))
    return prompts, "sha256:" + file_sha256(path)


def _published(
    run: RunSpec, places: Places, summary: PrepareSummary
) -> tuple[ArtifactStatus, EvaluationStatus | None] | None:
    folder = run_folder(run, places, summary.run_hash)
    try:
        found = read_manifest(folder)
    except ArtifactError as error:
        raise BadConfig(f"{error}. Fix: remove {folder}, or set another runId.") from None
    if found is None:
        return None
    manifest, digest = found
    return artifact_status(run, manifest, digest), manifest.evaluation


def _check_output(run: RunSpec, places: Places) -> None:
    """Write to the output now: a claim that is read-only or full should not be found out after training."""
    folder = places.claim(run.output.uri)
    probe = folder / f".write-test-{uuid.uuid4().hex}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"anneal")
        os.remove(probe)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        raise StorageUnavailable(
            f"{run.output.uri} cannot be written: {error}. Fix: let user 10001 write to the claim "
            "(fsGroup, access mode, read-only volume)."
        ) from error


def _store(tokenised: Tokenised, source: str, places: Places) -> None:
    write_atomic(places.template, source.encode())
    token_rows.store(places, "train", tokenised.train)
    token_rows.store(places, "validation", tokenised.validation)
    token_rows.store(places, "test", tokenised.test)
