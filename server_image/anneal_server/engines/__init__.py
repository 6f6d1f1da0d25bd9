"""Engines as pure functions from a ServeSpec to a command: argv and environment, nothing else."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Command:
    """A process to start; `env` is added to the container's own."""

    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """What is known only inside the container."""

    python: str
    tokenizer: str
    """Folder with the tokenizer, beside the config of the model that it is for."""
    lora_rank: int = 0
    """Largest rank among the adapters."""
    lora_targets: tuple[str, ...] = ()
    """Layers that the adapters change, sorted; empty: not known."""
    chat_template: str = ""
    """File with the template to use; empty: the tokenizer's own."""
