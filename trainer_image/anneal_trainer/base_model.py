"""The base model: find or fetch it, and refuse before a GPU is asked for what could not be trained or served."""

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from anneal_api.artifact import file_sha256, model_digest, model_files
from anneal_api.finetunejob import Lora
from anneal_trainer.errors import BadConfig, ModelMismatch, ModelNotFound
from anneal_trainer.weights import Tensor, decode, read_tensors

log = logging.getLogger(__name__)

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
ALL_LINEAR = "all-linear"
_EMBEDDINGS = (
    "embed_tokens.weight",
    "wte.weight",
    "embed_in.weight",
    "word_embeddings.weight",
    "tok_embeddings.weight",
)
_NOT_LAYERS = ("lm_head", "embed_out", "output")


@dataclass(frozen=True)
class BaseModel:
    """A model folder that passed the checks."""

    folder: Path
    config: dict[str, Any]
    tensors: dict[str, Tensor]

    @property
    def family(self) -> str:
        return str(self.config.get("model_type", ""))

    @property
    def embedding_rows(self) -> int | None:
        """Number of tokens the embedding knows; None for a layout we do not know."""
        sizes = [
            tensor.shape[0]
            for name, tensor in self.tensors.items()
            if name.endswith(_EMBEDDINGS) and len(tensor.shape) == 2
        ]
        return min(sizes) if sizes else None

    @property
    def context(self) -> int | None:
        """The longest sequence the model was made for; None when its config does not say."""
        value = self.config.get("max_position_embeddings") or self.config.get("n_positions")
        return value if isinstance(value, int) else None

    @cached_property
    def linear_layers(self) -> dict[str, Tensor]:
        """Full module names of the layers that can carry an adapter."""
        return {
            name.removesuffix(".weight"): tensor
            for name, tensor in self.tensors.items()
            if name.endswith(".weight")
            and len(tensor.shape) == 2
            and not name.endswith(_EMBEDDINGS)
            and name.removesuffix(".weight").rpartition(".")[2] not in _NOT_LAYERS
        }

    def digest(self) -> str:
        """Digest over the content of every loadable file."""
        return model_digest({path.name: file_sha256(path) for path in model_files(self.folder)})


def open_model(folder: Path, uri: str) -> BaseModel:
    """Read config and headers, and check that the folder is a model that loads without foreign code."""
    if not folder.is_dir():
        raise ModelNotFound(
            f"{uri} is not a folder ({folder} does not exist). Fix: correct model.uri, or put the model into the claim."
        )
    if not (folder / CONFIG).is_file():
        raise ModelNotFound(
            f"{uri} has no {CONFIG}; found: {_listing(folder)}. Fix: point model.uri at the folder that holds it."
        )
    _check_files(folder, uri)
    config = _read_config(folder)
    if "auto_map" in config:
        # Not an error in itself: such a model is loaded by the library's own class and its code is never run.
        log.warning("%s asks for code of its own (auto_map); it is never run", uri)
    return BaseModel(folder, config, read_tensors(folder))


def _check_files(folder: Path, uri: str) -> None:
    if not any(folder.glob("*.safetensors")):
        pickles = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for path in folder.glob(pattern))
        why = f"only pickled weights ({', '.join(pickles[:3])}), which can run code" if pickles else "no weights"
        raise ModelMismatch(f"{uri} has {why}. Fix: use a model with *.safetensors.")
    if not (folder / TOKENIZER).is_file():
        raise ModelMismatch(
            f"{uri} has no {TOKENIZER}; found: {_listing(folder)}. Fix: save the model's fast tokenizer into the "
            f"folder."
        )


def _read_config(folder: Path) -> dict[str, Any]:
    config = read_json(folder / CONFIG)
    if not isinstance(config.get("model_type"), str):
        raise ModelMismatch(
            f"{folder / CONFIG} names no model_type. Fix: use a causal language model of the transformers library."
        )
    return config


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of the model folder; {} when the file is not there."""
    if not path.is_file():
        return {}
    try:
        value = decode(path.read_bytes())
    except ValueError as error:
        raise ModelMismatch(f"{path} is not valid JSON: {error}. Fix: fetch the model again.") from None
    if not isinstance(value, dict):
        raise ModelMismatch(f"{path} is not a JSON object. Fix: fetch the model again.")
    return value


def check_vocabulary(model: BaseModel, largest_id: int) -> None:
    """Every token needs a row in the embedding, or training dies on the GPU with an index error."""
    rows = model.embedding_rows
    if rows is not None and largest_id >= rows:
        raise ModelMismatch(
            f"the tokenizer has token ids up to {largest_id}, the model's embedding has {rows} rows. "
            "Fix: use the tokenizer that belongs to this model."
        )


def adapted_layers(model: BaseModel, lora: Lora) -> dict[str, Tensor]:
    """The layers that the adapter will change. Raises BadConfig for a target that names none."""
    if lora.target_modules == [ALL_LINEAR]:
        return model.linear_layers
    found: dict[str, Tensor] = {}
    for target in lora.target_modules:
        matches = {
            name: tensor
            for name, tensor in model.linear_layers.items()
            if name == target or name.endswith(f".{target}")
        }
        if not matches:
            names = sorted({name.rpartition(".")[2] for name in model.linear_layers})
            raise BadConfig(
                f'method.lora.targetModules: no linear layer of the {model.family} model is called "{target}"; '
                f'it has: {", ".join(names[:24])}. Fix: use some of these, or ["{ALL_LINEAR}"].'
            )
        found |= matches
    return found


def _listing(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    return ", ".join(names[:8]) + (" ..." if len(names) > 8 else "") if names else "nothing"
