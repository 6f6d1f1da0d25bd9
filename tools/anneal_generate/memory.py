"""How much GPU memory a model needs to be trained and served: formulas, and the table of docs/explanation/memory.md.

tests/unit/trainer/test_memory.py holds parameters and activations against torch, transformers and peft.
"""

from dataclasses import dataclass

from anneal_generate.text import table

GIB = 1024**3
TOKENS = 2048
"""Of the one row in a forward pass that the table assumes."""
RANK = 16
GPUS = (16, 24, 48, 80, 141)
"""GiB, near enough: T4, L4 and A10, L40S, A100 and H100, H200."""
SPARE = 1.15
"""CUDA's own memory and what the allocator cannot use."""


@dataclass(frozen=True)
class Shape:
    """What config.json says, of a model of the Llama or Qwen2 family."""

    name: str
    hidden: int
    layers: int
    heads: int
    key_value_heads: int
    feed_forward: int
    vocabulary: int
    tied: bool
    """The output head shares the embedding's weights."""
    bias: bool = False
    """Query, key and value projections have a bias."""

    @property
    def key_value(self) -> int:
        """Width of keys, and of values."""
        return self.hidden // self.heads * self.key_value_heads

    @property
    def parameters(self) -> int:
        embeddings = self.vocabulary * self.hidden * (1 if self.tied else 2)
        attention = 2 * self.hidden * (self.hidden + self.key_value)
        biases = self.hidden + 2 * self.key_value if self.bias else 0
        layer = attention + biases + 3 * self.hidden * self.feed_forward + 2 * self.hidden
        return embeddings + self.layers * layer + self.hidden

    def adapter_parameters(self, rank: int) -> int:
        """Of LoRA on all linear layers: rank times width in and width out of each."""
        attention = 2 * (self.hidden + self.hidden) + 2 * (self.hidden + self.key_value)
        return self.layers * rank * (attention + 3 * (self.hidden + self.feed_forward))

    def activations(self, method: str, rank: int = RANK) -> int:
        """Bytes per token that all layers keep for the backward pass, in bf16 autocast, without recomputation."""
        shared = 4 * self.heads + 4 * self.key_value + 8
        layer = {
            "full": 30 * self.hidden + 8 * self.feed_forward,
            "lora": 48 * self.hidden + 12 * self.feed_forward + 14 * rank,
        }[method]
        return self.layers * (shared + layer)

    def training(self, method: str, tokens: int = TOKENS) -> float:
        """GiB to train with rows of together so many tokens in a forward pass."""
        per_token = self.activations(method) + LOGITS * self.vocabulary
        return (self._state(method) + tokens * per_token) / GIB

    def _state(self, method: str) -> int:
        if method == "full":
            return (TRAINED + CAST) * self.parameters
        return HALF * self.parameters + TRAINED * self.adapter_parameters(RANK)

    @property
    def weights(self) -> float:
        """GiB of a served model in 16 bits."""
        return HALF * self.parameters / GIB

    @property
    def cache(self) -> float:
        """GiB of keys and values for 1,000 tokens."""
        return 1000 * 2 * HALF * self.key_value * self.layers / GIB


HALF = 2
"""Bytes in bf16."""
TRAINED = 4 + 4 + 8
"""Bytes per trained parameter: fp32 weight and gradient, two moments of AdamW."""
CAST = 2
"""Bytes per parameter of the bf16 copies that autocast keeps of fp32 weights."""
LOGITS = 2 + 4 + 4 + 2
"""Bytes per token and word of the vocabulary at the peak, when the loss is taken back through the logits."""

SHAPES = (
    Shape("HuggingFaceTB/SmolLM2-135M-Instruct", 576, 30, 9, 3, 1536, 49152, tied=True),
    Shape("HuggingFaceTB/SmolLM2-360M-Instruct", 960, 32, 15, 5, 2560, 49152, tied=True),
    Shape("Qwen/Qwen2.5-1.5B-Instruct", 1536, 28, 12, 2, 8960, 151936, tied=True, bias=True),
    Shape("meta-llama/Llama-3.2-3B-Instruct", 3072, 28, 24, 8, 8192, 128256, tied=True),
    Shape("mistralai/Mistral-7B-Instruct-v0.3", 4096, 32, 32, 8, 14336, 32768, tied=False),
    Shape("Qwen/Qwen2.5-7B-Instruct", 3584, 28, 28, 4, 18944, 152064, tied=False, bias=True),
    Shape("meta-llama/Llama-3.1-8B-Instruct", 4096, 32, 32, 8, 14336, 128256, tied=False),
    Shape("Qwen/Qwen2.5-14B-Instruct", 5120, 48, 40, 8, 13824, 152064, tied=False, bias=True),
)


def tables() -> str:
    """The table, with what it assumes."""
    head = ("model", "parameters", "LoRA", "on a GPU of", "full", "on a GPU of", "serve: weights", "per 1,000 tokens")
    note = (f"GiB, for one row of {TOKENS:,} tokens in a forward pass (`batchSize: 1`), LoRA of rank {RANK} on all "
            f"linear layers. *On a GPU of*: the smallest of {', '.join(map(str, GPUS))} GiB that holds it with "
            f"{SPARE - 1:.0%} to spare; a dash: none, and one run uses one GPU.")
    return f"{table(head, [_row(shape) for shape in SHAPES])}\n\n{note}"


def _row(shape: Shape) -> tuple[str, ...]:
    lora, full, name = shape.training("lora"), shape.training("full"), shape.name.partition("/")[2]
    return (f"`{name}`", f"{shape.parameters / 1e9:.2f} B", f"{lora:.1f}", _gpu(lora), f"{full:.1f}", _gpu(full),
            f"{shape.weights:.1f}", f"{shape.cache:.3f}")


def _gpu(need: float) -> str:
    return next((f"{size}" for size in GPUS if size >= need * SPARE), "-")
