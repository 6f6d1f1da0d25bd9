"""Reading safetensors headers: names, types and shapes of all tensors, without loading one byte of weights."""

import json
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from anneal_trainer.errors import ModelMismatch

INDEX_FILE = "model.safetensors.index.json"
_MAX_HEADER = 100 << 20
_BITS = {
    "F64": 64,
    "I64": 64,
    "U64": 64,
    "F32": 32,
    "I32": 32,
    "U32": 32,
    "F16": 16,
    "BF16": 16,
    "I16": 16,
    "U16": 16,
    "I8": 8,
    "U8": 8,
    "BOOL": 8,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E8M0": 8,
    "C64": 64,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
}


def decode(data: bytes) -> Any:
    """JSON that strangers wrote. Raises ValueError for what is none, and for what is nested too deeply."""
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


@dataclass(frozen=True)
class Tensor:
    """One entry of a header."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.elements * _BITS[self.dtype] // 8


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of a model folder, of one file or of the shards its index lists. Raises ModelMismatch for a
    broken file.
    """
    found: dict[str, Tensor] = {}
    for path in _shards(folder):
        for name, tensor in read_header(path).items():
            if name in found:
                raise ModelMismatch(f"{path} holds {name} a second time. Fix: fetch the model again.")
            found[name] = tensor
    return found


def _shards(folder: Path) -> list[Path]:
    index = folder / INDEX_FILE
    if not index.is_file():
        # Adapters and consolidated copies in another layout lie beside some models; they are no shards.
        single = folder / "model.safetensors"
        return [single] if single.is_file() else sorted(folder.glob("*.safetensors"))
    try:
        names = sorted(set(decode(index.read_bytes())["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelMismatch(
            f"{index} is not an index of safetensors shards: {error}. Fix: fetch the model again."
        ) from None
    for name in names:
        if not isinstance(name, str) or Path(name).name != name or not (folder / name).is_file():
            raise ModelMismatch(
                f"{index} lists the shard {name!r}, which is not in {folder}. Fix: fetch the model again."
            )
    return [folder / name for name in names]


def read_header(path: Path) -> dict[str, Tensor]:
    """The header of one file, checked against the file's size."""
    size = path.stat().st_size
    with path.open("rb") as file:
        prefix = file.read(8)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
        if not 2 <= length <= min(_MAX_HEADER, size - 8):
            raise _broken(path, f"its header claims {length} bytes")
        raw = file.read(length)
    try:
        entries = {
            name: (_tensor(value), _offsets(value)) for name, value in decode(raw).items() if name != "__metadata__"
        }
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise _broken(path, f"its header does not parse ({error!r})") from None
    _check_offsets(path, entries, size - 8 - length)
    return {name: tensor for name, (tensor, _) in entries.items()}


def _tensor(value: dict[str, Any]) -> Tensor:
    if value["dtype"] not in _BITS:
        raise ValueError(f"dtype {value['dtype']!r} is unknown")
    shape = tuple(int(side) for side in value["shape"])
    if any(side < 0 for side in shape):
        raise ValueError(f"shape {shape}")
    return Tensor(value["dtype"], shape)


def _offsets(value: dict[str, Any]) -> tuple[int, int]:
    begin, end = value["data_offsets"]
    return int(begin), int(end)


def _check_offsets(path: Path, entries: dict[str, tuple[Tensor, tuple[int, int]]], available: int) -> None:
    end = 0
    for name, (tensor, offsets) in sorted(entries.items(), key=lambda entry: entry[1][1]):
        if offsets[0] != end or offsets[1] - offsets[0] != tensor.bytes:
            raise _broken(path, f"the place of {name} does not fit its shape or its neighbour")
        end = offsets[1]
    if end != available:
        raise _broken(path, f"it has {available} bytes of weights, its header lists {end} (cut off?)")


def _broken(path: Path, why: str) -> ModelMismatch:
    return ModelMismatch(f"{path} is not a whole safetensors file: {why}. Fix: fetch the model again.")
