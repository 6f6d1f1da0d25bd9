"""How much of the workspace a run will need, so that a full disk shows before training and not after hours of it."""

import shutil

from anneal_api.finetunejob import Lora, Method, Training
from anneal_trainer.base_model import BaseModel, adapted_layers
from anneal_trainer.errors import DiskFull
from anneal_trainer.places import Places

# AdamW keeps two values of 4 bytes beside each trained weight of 4 bytes.
_CHECKPOINT_BYTES_PER_WEIGHT = 12
_SMALL_FILES = 64 << 20


def trained_weights(model: BaseModel, method: Method) -> int:
    """Number of weights that the method changes."""
    if method.type == "full":
        return sum(tensor.elements for tensor in model.tensors.values())
    lora = method.lora or Lora()
    return sum(lora.rank * sum(tensor.shape) for tensor in adapted_layers(model, lora).values())


def check_workspace(model: BaseModel, method: Method, training: Training, places: Places) -> None:
    """Refuse when checkpoints (one more than are kept, while a new one is written) and the result cannot fit."""
    weights = trained_weights(model, method)
    result = sum(t.bytes for t in model.tensors.values()) if method.type == "full" else 4 * weights
    needed = weights * _CHECKPOINT_BYTES_PER_WEIGHT * (training.checkpoint.keep + 1) + result + _SMALL_FILES
    free = shutil.disk_usage(places.workspace).free
    if needed > free:
        raise DiskFull(
            f"the workspace {places.workspace} has {_gib(free)} GiB free; {training.checkpoint.keep} checkpoints and "
            f"the result "
            f"need about {_gib(needed)} GiB. Fix: raise workspace.size or lower training.checkpoint.keep."
        )


def _gib(count: int) -> str:
    return f"{count / (1 << 30):.2f}"
