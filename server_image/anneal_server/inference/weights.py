"""The model, its adapters and its tokenizer in memory; one thread at a time may use them."""

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

from anneal_server.inference.errors import ApiError
from anneal_server.inference.options import Options
from anneal_server.inference.sampling import Sampling, Token, choose

DEFAULTS = ("temperature", "top_p", "top_k")
"""What of the model's generation_config.json fills in for what a request leaves open, as in vLLM."""


class Weights:
    """A base model with adapters side by side."""

    def __init__(self, options: Options) -> None:
        torch.set_num_threads(options.threads)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(options.tokenizer)
        if options.chat_template:
            self.tokenizer.chat_template = options.chat_template.read_text()
        # One thread encodes while another decodes, which one object of the tokenizer's library does not stand.
        self._encoder = copy.deepcopy(self.tokenizer)
        network: Any = AutoModelForCausalLM.from_pretrained(options.model, dtype="auto")
        self.ends = _ends(network, self.tokenizer)
        self.defaults = _defaults(options.model)
        # Names of adapters may hold dots, which names of modules may not.
        self._adapters = {name: f"adapter_{number}" for number, name in enumerate(options.adapters)}
        self.network = _with_adapters(network, [(self._adapters[n], path) for n, path in options.adapters.items()])
        self.network.eval()
        self._active: str | None = next(iter(self._adapters), None)

    def use(self, name: str) -> None:
        """Switch to the adapter of this name, or to the bare base model."""
        wanted = name if name in self._adapters else None
        if wanted == self._active:
            return
        if wanted is None:
            self.network.base_model.disable_adapter_layers()
        else:
            self.network.base_model.enable_adapter_layers()
            self.network.set_adapter(self._adapters[wanted])
        self._active = wanted

    def chat_ids(self, messages: Sequence[dict[str, str]]) -> list[int]:
        """Token ids of a conversation, up to where the answer begins."""
        if not self._encoder.chat_template:
            raise ApiError(400, "this model has no chat template; use /v1/completions", "messages")
        try:
            text = self._encoder.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except (TemplateError, TypeError, ValueError) as error:
            raise ApiError(400, f"the chat template refuses these messages: {error}", "messages") from error
        # The template writes the special tokens itself.
        return self._ids(text, special=False)

    def text_ids(self, prompt: str | list[int]) -> list[int]:
        """Token ids of a plain prompt."""
        if isinstance(prompt, str):
            return self._ids(prompt, special=True)
        size = self.network.get_input_embeddings().num_embeddings
        if outside := next((number for number in prompt if number >= size), None):
            raise ApiError(400, f"prompt holds token {outside}, but the vocabulary has {size}", "prompt")
        return prompt

    def _ids(self, text: str, *, special: bool) -> list[int]:
        found: list[int] = self._encoder(text, add_special_tokens=special)["input_ids"]
        return found

    def decode(self, ids: Sequence[int]) -> str:
        """Text without special tokens."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def spelling(self, token: int) -> str:
        """One token as it reads by itself."""
        return str(self.tokenizer.decode([token], clean_up_tokenization_spaces=False))


class Sequel:
    """One answer in the making. Each step runs the model once."""

    def __init__(self, weights: Weights, name: str, prompt: list[int], sampling: Sampling) -> None:
        self._weights, self._name, self._sampling = weights, name, sampling
        self._next = prompt
        self._cache: Any = DynamicCache()
        self._generator = sampling.generator()

    def step(self) -> Token:
        """The next token."""
        self._weights.use(self._name)
        with torch.inference_mode():
            ids = torch.tensor([self._next])
            out = self._weights.network(input_ids=ids, past_key_values=self._cache, use_cache=True, logits_to_keep=1)
            token = choose(out.logits[0, -1], self._sampling, self._generator)
        self._next = [token.id]
        return token


def _with_adapters(network: Any, adapters: Sequence[tuple[str, Path]]) -> Any:
    for number, (name, path) in enumerate(adapters):
        # In the base model's type, as in vLLM: in another, adapters would be slower and answer otherwise.
        if number == 0:
            network = PeftModel.from_pretrained(network, path, adapter_name=name, autocast_adapter_dtype=False)
        else:
            network.load_adapter(path, adapter_name=name, autocast_adapter_dtype=False)
    return network


def _ends(network: Any, tokenizer: Any) -> frozenset[int]:
    """Tokens that end an answer."""
    said = network.generation_config.eos_token_id
    listed = said if isinstance(said, list) else [said]
    return frozenset(int(token) for token in (*listed, tokenizer.eos_token_id) if token is not None)


def _defaults(folder: Path) -> dict[str, Any]:
    path = folder / "generation_config.json"
    found = json.loads(path.read_bytes()) if path.is_file() else {}
    return {key: found[key] for key in DEFAULTS if found.get(key) is not None}
