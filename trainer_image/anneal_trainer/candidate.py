"""The result of training on the workspace: adapter or whole model, with the tokenizer and template it was trained
with.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import torch

from anneal_api.artifact import TEMPLATE_FILE
from anneal_api.run import RunSpec
from anneal_trainer.files import write_atomic
from anneal_trainer.places import Places

ADAPTER_CONFIG = "adapter_config.json"
_TOKENIZER_FILES = (
    "tokenizer*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
)


def save(model: Any, dtype: torch.dtype, run: RunSpec, base: Path, places: Places) -> None:
    """Write the candidate beside its final place, then swap: a folder called candidate is always complete."""
    draft = places.candidate.with_name(".candidate.tmp")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    if run.method.type == "lora":
        # True would ask the hub whether the base's vocabulary changed; ours never does.
        model.save_pretrained(draft, save_embedding_layers=False)
        _name_base(draft, run)
    else:
        model.to(dtype).save_pretrained(draft)
        _copy(base, draft, ("generation_config.json",))
    _copy(base, draft, _TOKENIZER_FILES)
    shutil.copyfile(places.template, draft / TEMPLATE_FILE)
    # The library's own model card; publish writes ours.
    (draft / "README.md").unlink(missing_ok=True)
    shutil.rmtree(places.candidate, ignore_errors=True)
    draft.rename(places.candidate)


def _name_base(draft: Path, run: RunSpec) -> None:
    """Name the base by its uri: the path in this pod means nothing anywhere else."""
    path = draft / ADAPTER_CONFIG
    config = json.loads(path.read_bytes()) | {"base_model_name_or_path": run.model.uri}
    write_atomic(path, (json.dumps(config, indent=2, sort_keys=True) + "\n").encode())


def _copy(source: Path, target: Path, patterns: tuple[str, ...]) -> None:
    for path in sorted({path for pattern in patterns for path in source.glob(pattern) if path.is_file()}):
        shutil.copyfile(path, target / path.name)
