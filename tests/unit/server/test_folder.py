"""What may be served and what is refused, with the words a person gets."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from anneal_api.termination import ExitCode
from anneal_server.failures import ServerError
from anneal_server.folder import check_model
from tests.unit.server.conftest import write_model


def pickle_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def dangling_weights(folder: Path) -> None:
    """A copy of a Hugging Face cache without its blobs."""
    no_weights(folder)
    (folder / "model.safetensors").symlink_to("../../blobs/gone")


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def bare_adapter(folder: Path) -> None:
    no_config(folder)
    (folder / "adapter_config.json").write_text('{"r": 8}')


def remote_code(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "exotic", "auto_map": {"AutoModel": "m.M"}}))


def broken_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def deep_config(folder: Path) -> None:
    (folder / "config.json").write_text("[" * 100_000)


def lost_shard(folder: Path) -> None:
    index(folder, "model-00002-of-00002.safetensors")


def shard_outside(folder: Path) -> None:
    index(folder, "../other/model.safetensors")


def empty_index(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text("{}")


def index(folder: Path, *shards: str) -> None:
    weights = {f"layer.{number}": shard for number, shard in enumerate(shards)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weights}))


@pytest.mark.parametrize(("damage", "code", "words"), [
    (pickle_only, ExitCode.MODEL_MISMATCH, "holds pickle weights only (pytorch_model.bin)"),
    (no_weights, ExitCode.MODEL_NOT_FOUND, "no file that can be read ends with .safetensors"),
    (dangling_weights, ExitCode.MODEL_NOT_FOUND, "no file that can be read ends with .safetensors"),
    (no_config, ExitCode.MODEL_NOT_FOUND, "has no config.json"),
    (bare_adapter, ExitCode.MODEL_NOT_FOUND, "is a LoRA adapter without manifest.json"),
    (remote_code, ExitCode.MODEL_MISMATCH, "auto_map; model_type 'exotic'"),
    (broken_config, ExitCode.MODEL_MISMATCH, "config.json is not JSON"),
    (deep_config, ExitCode.MODEL_MISMATCH, "config.json is not JSON"),
    (lost_shard, ExitCode.MODEL_MISMATCH, "model-00002-of-00002.safetensors is missing"),
    (shard_outside, ExitCode.MODEL_MISMATCH, "names '../other/model.safetensors'"),
    (empty_index, ExitCode.MODEL_MISMATCH, "has no weight_map"),
])
def test_refused(tmp_path: Path, damage: Callable[[Path], None], code: ExitCode, words: str) -> None:
    folder = write_model(tmp_path / "model")
    damage(folder)
    with pytest.raises(ServerError) as caught:
        check_model(folder, is_native=lambda _: False)
    assert caught.value.code == code
    assert words in str(caught.value)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="nowhere does not exist") as caught:
        check_model(tmp_path / "nowhere")
    assert caught.value.code == ExitCode.MODEL_NOT_FOUND


def test_a_model_that_brings_code_it_does_not_need_is_served(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", auto_map={"AutoModel": "m.M"})
    asked: list[str] = []
    check_model(folder, is_native=lambda model_type: not asked.append(model_type))  # type: ignore[func-returns-value]
    assert asked == ["llama"]


def test_a_model_without_code_is_not_looked_up(tmp_path: Path) -> None:
    def never(model_type: str) -> bool:
        raise AssertionError(f"asked for {model_type}")

    check_model(write_model(tmp_path / "model"), is_native=never)
