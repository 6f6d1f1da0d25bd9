"""Safetensors headers, read without the weights."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from anneal_trainer.errors import ModelMismatch
from anneal_trainer.weights import Tensor, read_tensors
from tests.unit.trainer.tiny import entry, write_safetensors


def test_names_types_and_shapes_are_read(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "model.safetensors", {"a": entry([2, 3], 0), "__metadata__": {}}, 24)

    assert read_tensors(tmp_path) == {"a": Tensor("F32", (2, 3))}


@pytest.mark.parametrize(
    ("header", "size", "message"),
    [
        ({"a": entry([2], 0)}, 4, r"it has 4 bytes of weights, its header lists 8 \(cut off\?\)"),
        ({"a": entry([2], 0), "b": entry([2], 4)}, 16, "the place of b does not fit"),
        ({"a": entry([2], 0, "F33")}, 8, "dtype 'F33' is unknown"),
        ({"a": entry([-2], 0)}, 8, "does not parse"),
        ({"a": 5}, 8, "does not parse"),
    ],
)
def test_a_broken_header_is_refused(header: dict[str, Any], size: int, message: str, tmp_path: Path) -> None:
    write_safetensors(tmp_path / "model.safetensors", header, size)

    with pytest.raises(ModelMismatch, match=message):
        read_tensors(tmp_path)


def test_a_header_longer_than_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + b"{}")

    with pytest.raises(ModelMismatch, match="its header claims 1152921504606846976 bytes"):
        read_tensors(tmp_path)


@pytest.mark.parametrize("shard", ["gone.safetensors", "../x.safetensors"])
def test_a_shard_that_is_not_in_the_folder_is_refused(shard: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": shard}}))

    with pytest.raises(ModelMismatch, match="which is not in"):
        read_tensors(tmp_path)
