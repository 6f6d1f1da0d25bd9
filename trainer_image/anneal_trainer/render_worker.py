"""Renders a chat template that nobody has vetted: in Jinja's sandbox, in a process with limits of its own.

Run by template.py as a script. The first line on stdin is {"template", "tokens", "today"}; each
further line is a list of [messages, add_generation_prompt] pairs, answered by {"texts": [...]} or {"error": "..."}.
It imports little, because the memory limit counts what it imports.
"""

import json
import math
import resource
import sys
from collections.abc import Callable
from datetime import date
from typing import Any, NoReturn

from jinja2 import nodes
from jinja2.exceptions import TemplateError
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

CPU_SECONDS_PER_ROW = 2
MEMORY_BYTES = 512 << 20
MAX_TEXT = 8 << 20


class _Generation(Extension):
    """Some templates mark answers with {% generation %}; we find answers by prefixes, so the mark is only passed
    over.
    """

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        body: list[nodes.Node] = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return body


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)


def compile_template(source: str, today: str) -> Callable[..., str]:
    """The render function, with the environment that inference engines use too."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _Generation]
    )
    environment.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = date.fromisoformat(today).strftime
    render: Callable[..., str] = environment.from_string(source).render
    return render


def _answer(render: Callable[..., str], pairs: list[list[Any]], tokens: dict[str, str]) -> dict[str, Any]:
    try:
        texts = [render(messages=messages, add_generation_prompt=prompt, **tokens) for messages, prompt in pairs]
    except (
        TemplateError,
        ArithmeticError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        RecursionError,
    ) as error:
        return {"error": f"{type(error).__name__}: {error}"}
    except MemoryError:
        return {"error": f"it needs more than {MEMORY_BYTES >> 20} MiB of memory"}
    if sum(map(len, texts)) > MAX_TEXT:
        return {"error": f"it writes more than {MAX_TEXT >> 20} MiB for one row"}
    return {"texts": texts}


def _allow_cpu() -> None:
    """Give the next row its share of CPU time; the kernel ends the process when it is used up."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = math.ceil(used.ru_utime + used.ru_stime) + CPU_SECONDS_PER_ROW
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _allow_cpu()
    start = json.loads(sys.stdin.readline())
    try:
        render = compile_template(start["template"], start["today"])
    except TemplateError as error:
        _say({"error": f"it does not compile: {error}"})
        return
    _say({"texts": []})
    for line in sys.stdin:
        _allow_cpu()
        _say(_answer(render, json.loads(line), start["tokens"]))


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
