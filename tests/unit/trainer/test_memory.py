"""The formulas of the memory page, against what transformers builds and what autograd really keeps."""

import pytest

pytest.importorskip("torch", reason="needs the torch stack: run by `make test-trainer`")

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from anneal_generate.memory import SHAPES, Shape

pytestmark = pytest.mark.torch

RANK, ROWS, LENGTH = 8, 3, 64
SMALL = (Shape("wide", 320, 1, 5, 1, 896, 640, tied=False), Shape("deep", 256, 2, 4, 4, 512, 640, tied=False))


def config(shape: Shape) -> LlamaConfig | Qwen2Config:
    make = Qwen2Config if shape.bias else LlamaConfig
    return make(hidden_size=shape.hidden, num_hidden_layers=shape.layers, num_attention_heads=shape.heads,
                num_key_value_heads=shape.key_value_heads, intermediate_size=shape.feed_forward,
                vocab_size=shape.vocabulary, tie_word_embeddings=shape.tied, use_cache=False)


def adapted(model: LlamaForCausalLM) -> torch.nn.Module:
    lora = LoraConfig(r=RANK, lora_dropout=0.05, target_modules="all-linear", task_type="CAUSAL_LM")
    return get_peft_model(model.to(torch.bfloat16), lora)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_parameters_are_those_of_the_model(shape: Shape) -> None:
    with torch.device("meta"):
        model = (Qwen2ForCausalLM if shape.bias else LlamaForCausalLM)(config(shape))
    assert model.num_parameters() == shape.parameters


@pytest.mark.parametrize("shape", SMALL, ids=lambda shape: shape.name)
def test_adapter_parameters_are_those_of_the_adapter(shape: Shape) -> None:
    trained, _ = adapted(LlamaForCausalLM(config(shape))).get_nb_trainable_parameters()
    assert trained == shape.adapter_parameters(RANK)


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("shape", SMALL, ids=lambda shape: shape.name)
def test_activations_of_a_layer_are_what_autograd_keeps(shape: Shape, method: str) -> None:
    deeper = Shape(**{**vars(shape), "layers": shape.layers + 1})
    kept = saved_bytes(deeper, method) - saved_bytes(shape, method)
    formula = deeper.activations(method, RANK) - shape.activations(method, RANK)
    assert kept / (ROWS * LENGTH) == pytest.approx(formula, rel=0.01)


def saved_bytes(shape: Shape, method: str) -> int:
    """Bytes that autograd keeps of one forward pass; weights and their copies left out."""
    model = LlamaForCausalLM(config(shape))
    model = adapted(model) if method == "lora" else model
    model.train()
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if {ROWS, ROWS * LENGTH} & set(tensor.shape):
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids = torch.randint(0, shape.vocabulary, (ROWS, LENGTH))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), torch.autocast("cpu", torch.bfloat16):
        # Held until the count is taken: the storages stay distinct.
        loss = model(input_ids=ids, labels=ids, attention_mask=torch.ones_like(ids)).loss
    assert loss.requires_grad
    return sum(kept.values())
