"""What happens around the training loop: progress, the guard against a loss that is no number, stopping, sealing.

The order in which train.py adds them matters only for `StopOnRequest`, which overrules what the library itself
decided at the end of an epoch.
"""

import json
import logging
import math
import signal
import time
from pathlib import Path
from typing import IO, Any

import torch
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from anneal_api.run import Progress
from anneal_trainer import checkpoint
from anneal_trainer.errors import LossNotFinite
from anneal_trainer.exporter import Exporter
from anneal_trainer.files import read_lines, write_lines
from anneal_trainer.log import now
from anneal_trainer.watchdog import Watchdog

log = logging.getLogger(__name__)


class Metrics(TrainerCallback):  # type: ignore[misc]
    """metrics.jsonl on the workspace, progress lines on stdout, gauges for Prometheus."""

    def __init__(self, path: Path, stream: IO[str], exporter: Exporter, resumed_from: int) -> None:
        self.path, self.stream, self.exporter = path, stream, exporter
        self.seconds = 0.0
        self._begin_step = resumed_from
        if path.exists():
            # Steps after the checkpoint are done again: their old lines would be there twice.
            write_lines(path, [row for row in read_lines(path) if row["step"] <= resumed_from])

    def on_train_begin(self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any) -> None:
        self._begin = self._last = time.monotonic()
        self._begin_tokens = self._last_tokens = state.num_input_tokens_seen

    def on_step_end(self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any) -> None:
        self.seconds = time.monotonic() - self._begin
        self.tokens = state.num_input_tokens_seen - self._begin_tokens

    def on_log(
        self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, logs: dict[str, Any], **_: Any
    ) -> None:
        if "loss" not in logs and "eval_loss" not in logs:
            return
        progress = Progress(
            step=state.global_step,
            total_steps=state.max_steps,
            epoch=round(state.epoch or 0.0, 4),
            loss=_number(logs, "loss"),
            eval_loss=_number(logs, "eval_loss"),
            learning_rate=_number(logs, "learning_rate"),
            tokens_per_second=self._rate(state) if "loss" in logs else None,
            eta_seconds=self._eta(state),
            time=now(),
        )
        with self.path.open("a", encoding="utf-8") as file:
            json.dump(progress.to_wire() | ({"gradNorm": logs["grad_norm"]} if "grad_norm" in logs else {}), file)
            file.write("\n")
        self.exporter.show(progress)
        self.stream.write(progress.line() + "\n")
        self.stream.flush()

    def _rate(self, state: TrainerState) -> float:
        """Tokens per second since the last line; padding does not count."""
        moment, tokens = time.monotonic(), state.num_input_tokens_seen
        rate = (tokens - self._last_tokens) / max(moment - self._last, 1e-6)
        self._last, self._last_tokens = moment, tokens
        return float(round(rate, 1))

    def _eta(self, state: TrainerState) -> int:
        done = max(state.global_step - self._begin_step, 1)
        return int((time.monotonic() - self._begin) / done * (state.max_steps - state.global_step))


def _number(logs: dict[str, Any], name: str) -> float | None:
    return round(float(logs[name]), 8) if name in logs else None


class GuardedTrainer(Trainer):  # type: ignore[misc]
    """A Trainer that stops before weights are touched by a loss or a gradient that is not finite.

    The library offers no callback that sees the loss of a step before the optimizer does, hence the subclass. Losses
    are summed on the device and looked at once per optimizer step, so a GPU is not made to wait more often.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._step_loss: torch.Tensor | None = None
        self.add_callback(_FiniteGuard(self))

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        loss: torch.Tensor = super().training_step(*args, **kwargs)
        self._step_loss = loss if self._step_loss is None else self._step_loss + loss
        return loss

    def take_step_loss(self) -> float:
        """The loss summed since the last call."""
        loss, self._step_loss = self._step_loss, None
        return float("nan") if loss is None else loss.item()


class _FiniteGuard(TrainerCallback):  # type: ignore[misc]
    def __init__(self, trainer: GuardedTrainer) -> None:
        self.trainer = trainer

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, _control: TrainerControl, model: torch.nn.Module, **_: Any
    ) -> None:
        step = state.global_step + 1
        if not math.isfinite(loss := self.trainer.take_step_loss()):
            raise LossNotFinite(
                f"the loss of step {step} of {state.max_steps} is {loss}; the weights were left as they were before "
                f"it. {_FIX}"
            )
        # fp16 scales the loss and skips steps whose gradients overflow: that is how it finds its scale.
        if not args.fp16 and not math.isfinite(_gradient_norm(model)):
            raise LossNotFinite(
                f"the gradient of step {step} of {state.max_steps} is not finite; the weights were left as they were "
                f"before it. {_FIX}"
            )


_FIX = "Fix: lower training.learningRate, use precision bf16 or fp32, and look for odd rows."


def _gradient_norm(model: torch.nn.Module) -> float:
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    return float(torch.nn.utils.get_total_norm(gradients)) if gradients else 0.0


class SignsOfLife(TrainerCallback):  # type: ignore[misc]
    """Tells the watchdog of everything that moves."""

    def __init__(self, watchdog: Watchdog) -> None:
        self.watchdog = watchdog

    def _alive(self, *_: Any, **__: Any) -> None:
        self.watchdog.alive()

    on_train_begin = on_epoch_begin = on_substep_end = on_step_end = _alive
    on_prediction_step = on_evaluate = on_save = _alive


class SealCheckpoints(TrainerCallback):  # type: ignore[misc]
    """Seals what the library saved, and only then drops older checkpoints."""

    def __init__(self, root: Path, keep: int) -> None:
        self.root, self.keep = root, keep

    def on_save(self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any) -> None:
        checkpoint.seal(checkpoint.folder_of(self.root, state.global_step), state.global_step)
        checkpoint.prune(self.root, self.keep)
        log.info("checkpoint at step %d", state.global_step)


class StopOnRequest(TrainerCallback):  # type: ignore[misc]
    """After SIGTERM: finish the step, save a checkpoint, leave. Evaluating would eat the grace period."""

    def __init__(self) -> None:
        self.requested = False

    def listen(self) -> None:
        """Take SIGTERM from now on."""
        signal.signal(signal.SIGTERM, self._request)

    def _request(self, *_: object) -> None:
        self.requested = True

    def on_step_end(self, _args: TrainingArguments, _state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.requested:
            control.should_save = control.should_training_stop = True
            control.should_evaluate = False

    def on_epoch_end(self, _args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.requested and state.global_step < state.max_steps:
            control.should_save = control.should_evaluate = False
