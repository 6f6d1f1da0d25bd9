"""Fine-tuning, top to bottom: load -> wrap -> fit -> save."""

import logging
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from anneal_api.openmp import SPIN_COUNT, SPIN_VARIABLE

# Said before the libraries are imported: the pod has no network, and waiting for a hub would look like a hang.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault(SPIN_VARIABLE, SPIN_COUNT)
# Bars that redraw themselves are noise in a pod's log.
os.environ["TQDM_DISABLE"] = "1"

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, PrinterCallback, TrainingArguments, set_seed

from anneal_api.finetunejob import Lora
from anneal_api.run import METRICS_PORT, RunSpec, Stage, StageResult, TrainSummary
from anneal_api.termination import ExitCode
from anneal_trainer import candidate, checkpoint, environment, token_rows
from anneal_trainer.base_model import ALL_LINEAR
from anneal_trainer.batches import PadToLongest, TokenRows
from anneal_trainer.callbacks import GuardedTrainer, Metrics, SealCheckpoints, SignsOfLife, StopOnRequest
from anneal_trainer.device import Precision, choose_precision, use_allowed_cpus
from anneal_trainer.errors import CudaOutOfMemory, ModelMismatch, Preempted
from anneal_trainer.exporter import Exporter
from anneal_trainer.files import read_lines
from anneal_trainer.log import now
from anneal_trainer.places import Places
from anneal_trainer.results import prepared, report_summary
from anneal_trainer.watchdog import Watchdog

log = logging.getLogger(__name__)


def train(run: RunSpec, places: Places, stall_seconds: float) -> TrainSummary:
    """Train what prepare prepared; the candidate is on the workspace when this returns.

    Ends the process when nothing has moved for so many seconds.
    """
    began = now()

    def stalled(where: str) -> NoReturn:
        text = f"no sign of life for {stall_seconds:.0f} s (spec.stallTimeout); the main thread stands at {where}"
        log.error("%s; stacks of all threads are above", text)
        # Not to the workspace: a volume that does not answer may be what it waits for.
        report_summary(StageResult(stage=Stage.TRAIN, uid=run.uid, started=began, finished=now(),
                                   exit_code=ExitCode.NO_PROGRESS, message=text), places)
        os._exit(ExitCode.NO_PROGRESS)

    with Watchdog(stall_seconds, stalled) as watchdog:
        return _train(run, places, watchdog)


def _train(run: RunSpec, places: Places, watchdog: Watchdog) -> TrainSummary:
    found = prepared(run, places)
    base = Path(found.model_path)
    use_allowed_cpus()
    set_seed(run.training.seed)
    precision = choose_precision(run.training.precision)
    environment.store(precision, places)
    model, dtype = _load(base, run, precision)
    model = _wrap(model, run)
    checkpoints = places.checkpoints(run.uid, found.run_hash)
    resume = checkpoint.newest_whole(checkpoints)
    watchdog.alive()
    summary = _fit(model, run, places, precision, checkpoints, resume, watchdog)
    candidate.save(model, dtype, run, base, places)
    return summary


def _load(base: Path, run: RunSpec, precision: Precision) -> tuple[Any, torch.dtype]:
    """The base model and the type its weights are stored in.

    Trained weights are kept in fp32, because small updates vanish in 16 bits. Frozen ones take the compute type
    on a GPU, to save its memory; a CPU computes twice as fast from fp32 weights.
    """
    frozen = run.method.type == "lora" and precision != "fp32" and torch.cuda.is_available()
    compute = torch.bfloat16 if precision == "bf16" else torch.float16
    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            base,
            dtype=compute if frozen else torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except (ValueError, KeyError, OSError, RuntimeError) as error:
        raise ModelMismatch(
            f"the base model in {base} does not load: {error}. Fix: use a causal language model that the installed "
            "transformers library knows without code of its own."
        ) from error
    if missing := sorted(report["missing_keys"]):
        raise ModelMismatch(
            f"the base model in {base} lacks {len(missing)} tensors, {missing[0]} first. Fix: fetch the model again."
        )
    model.config.use_cache = False
    stored = _stored_type(base)
    log.info(
        "base model: %.1f million weights stored in %s, computing in %s",
        model.num_parameters() / 1e6,
        stored,
        precision,
    )
    return model, stored


def _stored_type(base: Path) -> torch.dtype:
    return AutoConfig.from_pretrained(base, local_files_only=True, trust_remote_code=False).dtype or torch.float32


def _wrap(model: Any, run: RunSpec) -> Any:
    """Add an adapter, or leave all weights to be trained."""
    if run.method.type == "full":
        return model
    lora = run.method.lora or Lora()
    targets: str | list[str] = ALL_LINEAR if lora.target_modules == [ALL_LINEAR] else list(lora.target_modules)
    model = get_peft_model(
        model,
        LoraConfig(
            r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=targets, task_type="CAUSAL_LM"
        ),
    )
    trained, total = model.get_nb_trainable_parameters()
    log.info("adapter: %.2f of %.1f million weights are trained", trained / 1e6, total / 1e6)
    return model


def _fit(
    model: Any, run: RunSpec, places: Places, precision: Precision, checkpoints: Path, resume: Path | None,
    watchdog: Watchdog,
) -> TrainSummary:
    """Run the loop from the start or from a checkpoint."""
    rows, validation = TokenRows(token_rows.load(places, "train")), TokenRows(token_rows.load(places, "validation"))
    resumed_from = int(resume.name.rpartition("-")[2]) if resume else 0
    exporter = Exporter()
    exporter.serve(METRICS_PORT)
    metrics, stop = Metrics(places.metrics, sys.stdout, exporter, resumed_from), StopOnRequest()
    trainer = GuardedTrainer(
        model=model,
        args=_arguments(run, precision, checkpoints, has_validation=len(validation) > 0),
        train_dataset=rows,
        eval_dataset=validation if len(validation) else None,
        data_collator=PadToLongest(),
        callbacks=[metrics, SealCheckpoints(checkpoints, run.training.checkpoint.keep), stop, SignsOfLife(watchdog)],
    )
    trainer.remove_callback(PrinterCallback)
    if resume:
        log.info("resuming from step %d", resumed_from)
    stop.listen()
    try:
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    except torch.OutOfMemoryError as error:
        raise CudaOutOfMemory(
            f"the GPU ran out of memory with batchSize {run.training.batch_size} and rows of up to {rows.longest} "
            f"tokens: {error}. "
            "Fix: halve training.batchSize and double gradientAccumulation, lower dataset.maxTokens, or use a larger "
            "GPU."
        ) from error
    if stop.requested and trainer.state.global_step < trainer.state.max_steps:
        raise Preempted(
            f"stopped at step {trainer.state.global_step} of {trainer.state.max_steps}; the checkpoint is saved"
        )
    return _summary(trainer, metrics, places, resumed_from)


def _arguments(run: RunSpec, precision: Precision, checkpoints: Path, has_validation: bool) -> TrainingArguments:
    """Our settings in the library's words. Nothing is left to its environment variables."""
    wanted = run.training
    return TrainingArguments(
        output_dir=str(checkpoints),
        num_train_epochs=wanted.epochs,
        per_device_train_batch_size=wanted.batch_size,
        per_device_eval_batch_size=wanted.batch_size,
        gradient_accumulation_steps=wanted.gradient_accumulation,
        learning_rate=wanted.learning_rate,
        lr_scheduler_type=wanted.scheduler if wanted.scheduler != "constant" else "constant_with_warmup",
        warmup_steps=wanted.warmup_ratio,
        weight_decay=wanted.weight_decay,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        logging_steps=wanted.logging_steps,
        logging_first_step=True,
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        eval_strategy="epoch" if has_validation else "no",
        prediction_loss_only=True,
        save_strategy=wanted.checkpoint.every,
        save_steps=wanted.checkpoint.steps or 500,
        seed=wanted.seed,
        data_seed=wanted.seed,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
        include_num_input_tokens_seen="non_padding",
    )


def _summary(trainer: GuardedTrainer, metrics: Metrics, places: Places, resumed_from: int) -> TrainSummary:
    losses = [row["loss"] for row in read_lines(places.metrics) if "loss" in row]
    tokens = metrics.tokens if metrics.seconds else 0
    return TrainSummary(
        steps=trainer.state.global_step,
        first_loss=losses[0],
        last_loss=losses[-1],
        seconds=round(metrics.seconds, 1),
        tokens_per_second=round(tokens / metrics.seconds, 1) if metrics.seconds else 0.0,
        resumed_from_step=resumed_from,
    )
