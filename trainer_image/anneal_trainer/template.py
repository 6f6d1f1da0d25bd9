"""The chat template: which one the run uses, and rendering it without trusting it."""

import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from anneal_api.artifact import TEMPLATE_FILE
from anneal_api.finetunejob import Template
from anneal_trainer.base_model import read_json
from anneal_trainer.errors import BadConfig, ModelMismatch
from anneal_trainer.rows import Message

log = logging.getLogger(__name__)

TOKENIZER_CONFIG = "tokenizer_config.json"
MAX_TEMPLATE_BYTES = 256 << 10
WORKER = Path(__file__).with_name("render_worker.py")
"""Run by path and with -P: it needs nothing of ours, so the template gets nothing of ours."""

# For base models without a template: only tokens that the model already has, so nothing untrained is asked of it.
BUILTIN = """\
{% if bos_token and bos_token != eos_token %}{{ bos_token }}{% endif %}
{% for message in messages %}
{% if message['role'] == 'system' %}
{{ message['content'] + '\\n\\n' }}
{%- elif message['role'] == 'user' %}
{{ '### Instruction:\\n' + message['content'] + '\\n\\n' }}
{%- else %}
{{ '### Response:\\n' + message['content'] + eos_token + '\\n\\n' }}
{%- endif %}
{% endfor %}
{% if add_generation_prompt %}{{ '### Response:\\n' }}{% endif %}"""


class TemplateFailed(Exception):
    """The template cannot render a row; the message says why."""


def special_tokens(folder: Path) -> dict[str, str]:
    """The tokens that templates may name, as tokenizer_config.json spells them."""
    config = read_json(folder / TOKENIZER_CONFIG)
    found = {}
    for name in ("bos_token", "eos_token", "pad_token", "unk_token"):
        value = config.get(name)
        if isinstance(value, dict):
            value = value.get("content")
        if isinstance(value, str):
            found[name] = value
    return found


def choose(template: Template, folder: Path, template_dir: Path) -> str:
    """The source text of the template that the spec asks for."""
    own = _own(folder) if template.source in ("auto", "model") else None
    if template.source == "model" and own is None:
        raise ModelMismatch(
            "template.source is model, but the model has no chat template. Fix: use template.source: builtin or "
            "configMap."
        )
    if template.config_map_ref is not None:
        own = _from_config_map(template_dir / template.config_map_ref.key)
    source = own if own is not None else BUILTIN
    if (size := len(source.encode())) > MAX_TEMPLATE_BYTES:
        raise ModelMismatch(
            f"the chat template has {size} bytes; at most {MAX_TEMPLATE_BYTES} are accepted. Fix: use a smaller one."
        )
    log.info("chat template: %s", "built-in" if own is None else template.source)
    return source


def _own(folder: Path) -> str | None:
    path = folder / TEMPLATE_FILE
    if path.is_file():
        return path.read_text(encoding="utf-8")
    value = read_json(folder / TOKENIZER_CONFIG).get("chat_template") or read_json(folder / "chat_template.json").get(
        "chat_template"
    )
    if isinstance(value, list):
        named = {entry.get("name"): entry.get("template") for entry in value if isinstance(entry, dict)}
        value = named.get("default")
    return value if isinstance(value, str) else None


def _from_config_map(path: Path) -> str:
    if not path.is_file():
        raise BadConfig(
            f"template.configMapRef has no key {path.name}. Fix: put the template under that key, or name another."
        )
    return path.read_text(encoding="utf-8")


class Renderer:
    """A process that renders rows; a template that hangs or swallows memory ends it, not us."""

    def __init__(self, source: str, tokens: dict[str, str]) -> None:
        self._start = {"template": source, "tokens": tokens, "today": datetime.now(UTC).date().isoformat()}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            self._ask(self._start)
        except TemplateFailed as error:
            self.__exit__(None, None, None)
            raise ModelMismatch(
                f"the chat template cannot be used: {error}. Fix: correct it, or use template.source: builtin."
            ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                _close(pipe)

    def render(self, pairs: Sequence[tuple[Sequence[Message], bool]]) -> list[str]:
        """The text of each (messages, add_generation_prompt) pair."""
        texts = self._ask([[[turn.as_dict() for turn in turns], prompt] for turns, prompt in pairs])["texts"]
        return [str(text) for text in texts]

    def _ask(self, question: Any) -> dict[str, Any]:
        pipe_in, pipe_out = self._process.stdin, self._process.stdout
        assert pipe_in is not None
        assert pipe_out is not None
        try:
            pipe_in.write(json.dumps(question).encode() + b"\n")
            pipe_in.flush()
            line = pipe_out.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            raise TemplateFailed(
                f"its process ended (exit {self._process.wait()}): too much CPU time or memory for one row"
            )
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise TemplateFailed(answer["error"])
        return answer


def _close(pipe: IO[bytes]) -> None:
    try:
        pipe.close()
    except BrokenPipeError:  # what was left to flush had nobody to read it
        return
