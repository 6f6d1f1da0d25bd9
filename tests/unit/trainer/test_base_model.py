"""What may be adapted, and what is no model."""

from pathlib import Path

import pytest

from anneal_api.finetunejob import Lora
from anneal_trainer.base_model import BaseModel, adapted_layers, check_vocabulary, open_model
from anneal_trainer.errors import BadConfig, ModelMismatch, ModelNotFound
from anneal_trainer.weights import Tensor

LAYERS = {
    "model.embed_tokens.weight": Tensor("BF16", (100, 8)),
    "model.layers.0.self_attn.q_proj.weight": Tensor("BF16", (8, 8)),
    "model.layers.0.self_attn.v_proj.weight": Tensor("BF16", (4, 8)),
    "model.layers.0.input_layernorm.weight": Tensor("BF16", (8,)),
    "lm_head.weight": Tensor("BF16", (100, 8)),
}


def base(folder: Path = Path("/model")) -> BaseModel:
    return BaseModel(folder, {"model_type": "llama"}, LAYERS)


def test_a_target_is_found_by_the_end_of_its_name() -> None:
    assert list(adapted_layers(base(), Lora(target_modules=["q_proj"]))) == ["model.layers.0.self_attn.q_proj"]
    assert len(adapted_layers(base(), Lora(target_modules=["all-linear"]))) == 2


def test_a_target_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(
        BadConfig, match=r'no linear layer of the llama model is called "proj"; it has: q_proj, v_proj\.'
    ):
        adapted_layers(base(), Lora(target_modules=["q_proj", "proj"]))


def test_a_token_without_embedding_is_refused() -> None:
    check_vocabulary(base(), 99)
    with pytest.raises(ModelMismatch, match="token ids up to 100, the model's embedding has 100 rows"):
        check_vocabulary(base(), 100)


@pytest.mark.parametrize(
    ("files", "error", "message"),
    [
        ({}, ModelNotFound, r"has no config\.json; found: nothing\."),
        (
            {"config.json": "{}", "pytorch_model.bin": ""},
            ModelMismatch,
            r"only pickled weights \(pytorch_model\.bin\)",
        ),
        ({"config.json": "{}"}, ModelMismatch, "has no weights"),
        ({"config.json": "{}", "model.safetensors": ""}, ModelMismatch, r"has no tokenizer\.json"),
        (
            {"config.json": "[]", "model.safetensors": "", "tokenizer.json": ""},
            ModelMismatch,
            "is not a JSON object",
        ),
        ({"config.json": "{", "model.safetensors": "", "tokenizer.json": ""}, ModelMismatch, "is not valid JSON"),
        (
            {"config.json": "{}", "model.safetensors": "", "tokenizer.json": ""},
            ModelMismatch,
            "names no model_type",
        ),
    ],
)
def test_a_folder_that_is_no_model_is_refused(
    files: dict[str, str], error: type[Exception], message: str, tmp_path: Path
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)

    with pytest.raises(error, match=message):
        open_model(tmp_path, "pvc://models/base")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="pvc://models/base is not a folder"):
        open_model(tmp_path / "gone", "pvc://models/base")
