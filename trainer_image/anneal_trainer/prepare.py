"""The stage that refuses: everything that can be known to go wrong later is found here, on a CPU, within seconds.

It imports neither torch nor transformers, so that it starts fast and needs little memory.
"""

import logging
import os
import uuid
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from anneal_api.artifact import ArtifactError, digest_of, file_sha256, read_manifest
from anneal_api.finetunejob import ArtifactStatus, DatasetStatus, EvaluationStatus, Lora
from anneal_api.run import PrepareSummary, RunSpec
from anneal_api.uri import parse_hub
from anneal_trainer import disk, template
from anneal_trainer.artifacts import artifact_status, run_folder
from anneal_trainer.base_model import TOKENIZER, BaseModel, adapted_layers, check_vocabulary, open_model, read_json
from anneal_trainer.errors import BadConfig, BadData, ModelMismatch, StorageUnavailable
from anneal_trainer.files import write_atomic, write_lines
from anneal_trainer.jsonfile import Problems
from anneal_trainer.masking import Masker, TokenRow
from anneal_trainer.places import Places
from anneal_trainer.prompts import load_prompts
from anneal_trainer.rows import Conversation, load_conversations
from anneal_trainer.run_hash import run_hash
from anneal_trainer.split import Parts, divide
from anneal_trainer.template import Renderer

log = logging.getLogger(__name__)


def prepare(run: RunSpec, places: Places) -> PrepareSummary:
    """Fetch, check, tokenise; the workspace then holds all that train needs."""
    folder, revision = _model_folder(run, places)
    model = open_model(folder, run.model.uri)
    if run.method.type == "lora":
        adapted_layers(model, run.method.lora or Lora())
    rows = load_conversations(places.claim(run.dataset.uri), run.dataset.format)
    log.info("%s: %d rows", run.dataset.uri, len(rows))
    prompts_digest = _check_prompts(run, places)
    source = template.choose(run.template, folder, places.template_dir)
    tokenised = _tokenise(run, model, source, divide(rows, run.dataset.split, run.training.seed))
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
        return places.claim(run.model.uri), ""
    # Imported here because only this scheme needs an HTTP stack.
    from anneal_trainer import hub

    return places.fetched_model, hub.fetch(name, run.model.revision, places.token_file, places.fetched_model)


def _check_prompts(run: RunSpec, places: Places) -> str:
    if run.evaluation.prompts is None:
        return ""
    path = places.claim(run.evaluation.prompts.uri)
    log.info("%s: %d prompts", run.evaluation.prompts.uri, len(load_prompts(path)))
    return "sha256:" + file_sha256(path)


@dataclass(frozen=True)
class Tokenised:
    """The tokens of each part; `dropped` rows were too long."""

    train: list[TokenRow]
    validation: list[TokenRow]
    test: list[TokenRow]
    dropped: int

    def status(self, rows: int, digest: str) -> DatasetStatus:
        """The counts that users see."""
        return DatasetStatus(
            rows=rows,
            train=len(self.train),
            validation=len(self.validation),
            test=len(self.test),
            dropped=self.dropped,
            tokens=sum(len(row.ids) for row in self.train),
            trained_tokens=sum(row.trained for row in self.train),
            digest=digest,
        )


def _tokenise(run: RunSpec, model: BaseModel, source: str, parts: Parts) -> Tokenised:
    tokenizer = _load_tokenizer(model)
    control = {token.content: number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    problems = Problems(Path(run.dataset.uri).name)
    with Renderer(source, template.special_tokens(model.folder)) as renderer:
        masker = Masker(renderer, tokenizer, control, problems.name)
        found = [_mask_all(masker, part, problems) for part in (parts.train, parts.validation, parts.test)]
    problems.raise_if_any()
    _warn_of_endless_answers(model, tokenizer, masker.ends)
    train, validation, test = kept = [_within(rows, run, problems) for rows in found]
    problems.raise_if_any()
    dropped = sum(map(len, found)) - sum(map(len, kept))
    if not train:
        raise BadData(
            f"no training row has at most {run.dataset.max_tokens} tokens ({dropped} rows dropped). "
            "Fix: raise dataset.maxTokens or shorten the rows."
        )
    return Tokenised(train, validation, test, dropped)


def _mask_all(masker: Masker, rows: tuple[Conversation, ...], problems: Problems) -> list[TokenRow]:
    return [masked for row in rows if (masked := masker.mask(row, problems)) is not None]


def _within(rows: list[TokenRow], run: RunSpec, problems: Problems) -> list[TokenRow]:
    limit = run.dataset.max_tokens
    if run.dataset.too_long == "fail":
        for row in rows:
            if len(row.ids) > limit:
                problems.add(
                    row.line,
                    f"has {len(row.ids)} tokens; dataset.maxTokens is {limit}. "
                    "Fix: shorten it, raise maxTokens or set tooLong: drop.",
                )
    return [row for row in rows if len(row.ids) <= limit]


def _load_tokenizer(model: BaseModel) -> Tokenizer:
    path = model.folder / TOKENIZER
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception
        raise ModelMismatch(
            f"{path} cannot be loaded: {error}. Fix: save the tokenizer again with a current library."
        ) from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    check_vocabulary(model, max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0))
    return tokenizer


def _warn_of_endless_answers(model: BaseModel, tokenizer: Tokenizer, ends: set[int]) -> None:
    """Engines stop at the model's eos tokens; answers that end otherwise would run on to the length limit."""
    stops: set[int] = set()
    for name in ("config.json", "generation_config.json"):
        value = read_json(model.folder / name).get("eos_token_id")
        stops |= {value} if isinstance(value, int) else set(value or ())
    eos = tokenizer.token_to_id(template.special_tokens(model.folder).get("eos_token", ""))
    for end in ends - stops - {eos}:
        log.warning(
            "answers end with %s, which is no eos token of the model: engines may not stop there",
            tokenizer.id_to_token(end),
        )


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
    except PermissionError as error:
        raise StorageUnavailable(
            f"{run.output.uri} cannot be written: {error}. Fix: let user 10001 write to the claim "
            "(fsGroup, access mode, read-only volume)."
        ) from error


def _store(tokenised: Tokenised, source: str, places: Places) -> None:
    write_atomic(places.template, source.encode())
    for part in ("train", "validation", "test"):
        rows: list[TokenRow] = getattr(tokenised, part)
        write_lines(
            places.data / f"{part}.jsonl", ({"line": row.line, "ids": row.ids, "mask": row.mask} for row in rows)
        )
