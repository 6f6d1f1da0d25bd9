"""What the engine is started with."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

MAX_BODY = 2 * 1024 * 1024
"""Bytes of a request's body."""
RUNNING = 4
"""Requests that generate at the same time, token by token in turn; each holds a key-value cache."""
WAITING = 32
"""Requests that wait for their turn; more are told to come back."""
DRAIN_SECONDS = 45
"""Time that requests under way get after SIGTERM: the pod's grace period less its preStop pause and some room."""


@dataclass(frozen=True)
class Options:
    """One complete model, and adapters on it."""

    model: Path
    name: str
    tokenizer: Path
    max_model_len: int = 2048
    chat_template: Path | None = None
    adapters: dict[str, Path] = field(default_factory=dict)
    port: int = 8000
    threads: int = 2
    max_body: int = MAX_BODY
    running: int = RUNNING
    waiting: int = WAITING


def parse(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="anneal_server.inference", description="Serves a model with transformers.")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--max-model-len", type=int, default=2048)
    parser.add_argument("--chat-template", type=Path)
    parser.add_argument("--adapter", action="append", default=[], metavar="NAME=DIR")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args(argv)
    adapters = dict(pair.split("=", 1) for pair in chosen.adapter)
    return Options(
        model=chosen.model, name=chosen.name, tokenizer=chosen.tokenizer or chosen.model,
        max_model_len=chosen.max_model_len, chat_template=chosen.chat_template,
        adapters={name: Path(folder) for name, folder in adapters.items()}, port=chosen.port, threads=chosen.threads)
