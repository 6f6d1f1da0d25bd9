"""What a model folder holds, and whether an engine may load it: safetensors and no code of the model's own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from anneal_server.failures import mismatch, missing

CONFIG = "config.json"
ADAPTER_CONFIG = "adapter_config.json"
SHARD_INDEX = "model.safetensors.index.json"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")

IsNative = Callable[[str], bool]


def known_to_transformers(model_type: str) -> bool:
    """Whether the library has the model's code itself. Slow to import, so asked only of models that bring code."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return model_type in CONFIG_MAPPING_NAMES


def check_model(folder: Path, is_native: IsNative = known_to_transformers) -> None:
    """Raise ServerError that says why this folder is not a model to serve."""
    if not folder.is_dir():
        raise missing(f"{folder} does not exist; check the path after pvc://<claim>/")
    if not (folder / CONFIG).is_file():
        raise missing(_without_config(folder))
    check_code(folder, is_native)
    check_weights(folder)


def _without_config(folder: Path) -> str:
    if (folder / ADAPTER_CONFIG).is_file():
        return (f"{folder} is a LoRA adapter without manifest.json, so its base model is not known by digest; "
                "serve an adapter that a FineTuneJob published, or merge it into its base")
    return f"{folder} has no {CONFIG}; it must hold a model as transformers saves it, or an artifact of a FineTuneJob"


def check_code(folder: Path, is_native: IsNative) -> None:
    """A model whose config asks for Python code of its own is served only where that code is not needed."""
    config = read_json(folder / CONFIG)
    model_type = str(config.get("model_type", ""))
    if config.get("auto_map") and not is_native(model_type):
        raise mismatch(f"{folder / CONFIG} asks for Python code of the model's own (auto_map; model_type "
                       f"{model_type!r}), which is never run; use a model that transformers supports by itself")


def check_weights(folder: Path) -> None:
    """Weights must be there, whole, as safetensors."""
    if (folder / SHARD_INDEX).is_file():
        check_shards(folder)
    elif not any(path.is_file() for path in folder.glob("*.safetensors")):
        pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
        if pickles:
            raise mismatch(f"{folder} holds pickle weights only ({pickles[0]}), which run code when loaded; "
                           "convert them: model.save_pretrained(folder, safe_serialization=True)")
        raise missing(f"{folder} has no weights: no file that can be read ends with .safetensors")


def check_shards(folder: Path) -> None:
    """Every shard that the index names lies in the folder itself."""
    shards = read_json(folder / SHARD_INDEX).get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise mismatch(f"{folder / SHARD_INDEX} has no weight_map")
    for name in sorted({str(shard) for shard in shards.values()}):
        if "/" in name or not name.endswith(".safetensors"):
            raise mismatch(f"{folder / SHARD_INDEX} names {name!r}, which is not a safetensors file beside it")
        if not (folder / name).is_file():
            raise mismatch(f"{folder / name} is missing, but {SHARD_INDEX} lists it; copy the model again")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object in a file."""
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise mismatch(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise mismatch(f"{path} holds no JSON object")
    return found
