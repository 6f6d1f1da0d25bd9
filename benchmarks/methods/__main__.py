"""Prompting, retrieval or fine-tuning? The held-out prompts of examples/support, asked in several ways.

Needs the cluster that `make demo` left up; writes build/bench/methods.json.
"""

import json
import os
import statistics
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anneal_dev.demo import NAME, NAMESPACE, tool_environment
from anneal_trainer.prompts import Prompt, load_prompts
from benchmarks import machine
from benchmarks.forward import forwarded
from benchmarks.methods.bm25 import Index

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "examples" / "support" / "data"
OUT = ROOT / "build" / "bench" / "methods.json"
FACTS = (Path(__file__).parent / "shop.txt").read_text()
MAX_TOKENS = 64
SHOTS = 5

Message = dict[str, str]


@dataclass(frozen=True)
class Way:
    """One way to ask: which model, and what stands in front of the question."""

    name: str
    model: str
    before: Callable[[str], list[Message]]


@dataclass(frozen=True)
class Answer:
    """One answer, judged."""

    id: str
    text: str
    right: bool
    prompt_tokens: int
    seconds: float


def ways(rows: Sequence[list[Message]]) -> list[Way]:
    """All of them, the tuned model last."""
    index = Index([pair[0]["content"] for pair in rows])

    def found(question: str) -> list[Message]:
        # The best match stands next to the question.
        return [turn for place in reversed(index.best(question, SHOTS)) for turn in rows[place]]

    return [
        Way("plain", "base", lambda _: []),
        Way("facts in the prompt", "base", lambda _: [{"role": "system", "content": FACTS}]),
        Way("few-shot", "base", lambda _: [turn for pair in rows[:SHOTS] for turn in pair]),
        Way("retrieval", "base", found),
        Way("tuned", NAME, lambda _: []),
        Way("tuned with retrieval", NAME, found),
    ]


def pairs(path: Path) -> list[list[Message]]:
    """First question and answer of each training row."""
    return [json.loads(line)["messages"][:2] for line in path.read_text().splitlines()]


def ask(url: str, way: Way, prompt: Prompt) -> Answer:
    """One question, greedily."""
    question = [turn.as_dict() for turn in prompt.messages]
    body = {"model": way.model, "messages": way.before(question[-1]["content"]) + question, "temperature": 0,
            "max_tokens": MAX_TOKENS}
    request = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    started = time.perf_counter()
    with urllib.request.urlopen(request, timeout=300) as reply:
        said = json.load(reply)
    text = str(said["choices"][0]["message"]["content"] or "")
    return Answer(prompt.id, text, prompt.check.passes(text), int(said["usage"]["prompt_tokens"]),
                  time.perf_counter() - started)


def summary(way: Way, answers: Sequence[Answer]) -> dict[str, Any]:
    """What the table shows, and every answer for those who doubt it."""
    seconds = sorted(answer.seconds for answer in answers)
    return {
        "way": way.name, "model": way.model, "prompts": len(answers), "right": sum(a.right for a in answers),
        "prompt_tokens": round(statistics.mean(a.prompt_tokens for a in answers)),
        "seconds": {"median": statistics.median(seconds), "lowest": seconds[0], "highest": seconds[-1]},
        "answers": [{"id": a.id, "right": a.right, "text": a.text} for a in answers],
    }


def main() -> None:
    """Ask everything, one question at a time."""
    prompts, rows = load_prompts(DATA / "prompts.jsonl"), pairs(DATA / "train.jsonl")
    results: list[dict[str, Any]] = []
    with forwarded(NAMESPACE, f"service/{NAME}", 80, {**os.environ, **tool_environment()}) as url:
        for way in ways(rows):
            results.append(summary(way, [ask(url, way, prompt) for prompt in prompts]))
            print(f"{way.name:<24}{results[-1]['right']:>4} of {len(prompts)} right", flush=True)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    found = {"command": "make bench-methods", "machine": machine.describe(), "results": results}
    OUT.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
