"""A tiny model with an adapter that changes its answers, as they lie in a claim."""

import json
from pathlib import Path

from anneal_api.artifact import TEMPLATE_FILE
from tests.unit.trainer.tiny import CHATML, make_model, make_tokenizer

LENGTH = 256


def make(folder: Path) -> None:
    """folder/base and folder/support."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    make_model(folder / "base")
    torch.manual_seed(3)
    network = AutoModelForCausalLM.from_pretrained(folder / "base")
    lora = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    get_peft_model(network, lora).save_pretrained(folder / "support")
    make_tokenizer(folder / "support", template=None)
    (folder / "support" / TEMPLATE_FILE).write_text(CHATML)
    for name in ("base", "support"):
        # The trainer reads a token written as an object, which transformers does not.
        config = folder / name / "tokenizer_config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), "eos_token": "</s>"}))


def serve_spec(folder: Path, port: int) -> str:
    """What the operator would write."""
    spec = {
        "engine": "transformers", "models": [{"name": "base", "path": str(folder / "base")}],
        "adapters": [{"name": "support-1.0", "path": str(folder / "support")}],
        "tokenizerPath": str(folder / "support"), "maxModelLen": LENGTH, "cpus": 1, "port": port,
    }
    return json.dumps(spec)
