"""Tables of measured figures, from benchmarks/results. Nothing stands in them that no file there says."""

import json
import statistics
from pathlib import Path
from typing import Any

from anneal_generate.text import table
from benchmarks.controller.report import title

NOTHING = "No figures have been kept yet."


def load(results: Path, name: str) -> dict[str, Any] | None:
    """A file of results, or None."""
    path = results / f"{name}.json"
    found: dict[str, Any] | None = json.loads(path.read_text()) if path.is_file() else None
    return found


def tax(results: Path) -> str:
    """What the operator adds."""
    found = load(results, "tax")
    if found is None:
        return NOTHING
    rows = [(result["name"], _spread(result["seconds"]["anneal"]), _spread(result["seconds"]["by hand"]),
             f"{result['added']:+.2f} s", f"{result['goal']} s") for result in found["results"]]
    head = ("", "Anneal", "by hand", "added", "goal")
    return f"{table(head, rows)}\n\n{_note(found, 'Median seconds, lowest to highest in brackets.')}"


def _spread(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f}, {len(seconds)} times)"


def controller(results: Path) -> str:
    """Many resources at once, beside a twin."""
    courses = ("1000", "300-at-10", "10000", "10000-at-10")
    found = [entry for name in courses if (entry := load(results, f"controller-{name}"))]
    return "\n\n".join(map(_race, found)) or NOTHING


def _race(found: dict[str, Any]) -> str:
    head = (title(found["rounds"]["anneal"][0]), "Anneal", "twin in Go")
    rows = [(row["name"], row["ours"], row["twin"]) for row in found["rows"]]
    goals = [(goal["name"], f"{goal['limit']:.3g}", f"{goal['found']:.3g}", "met" if goal["met"] else "**missed**")
             for goal in found["goals"]]
    rounds = len(found["rounds"]["anneal"])
    note = _note(found, "One round each." if rounds == 1 else
                 f"Mean of {rounds} rounds each, lowest to highest in brackets.")
    return "\n\n".join([table(head, rows), table(("goal", "at most", "found", ""), goals), note])


def methods(results: Path) -> str:
    """Prompting, retrieval, fine-tuning."""
    found = load(results, "methods")
    if found is None:
        return NOTHING
    rows = [(result["way"], result["model"], f"{result['right']} of {result['prompts']}", str(result["prompt_tokens"]),
             f"{result['seconds']['median']:.2f} ({result['seconds']['lowest']:.2f} to "
             f"{result['seconds']['highest']:.2f})") for result in found["results"]]
    head = ("way", "model", "right answers", "tokens in the prompt, mean", "seconds for an answer, median")
    return f"{table(head, rows)}\n\n{_note(found, 'Lowest and highest in brackets; one question at a time.')}"


def walltimes(results: Path) -> str:
    """Every part of the two commands, by the state of the cache."""
    parts = [text for run in ("demo", "test") for text in _runs(results, run)]
    return "\n\n".join(parts) or NOTHING


def _runs(results: Path, run: str) -> list[str]:
    found = [entry for cache in ("cold", "warm") if (entry := load(results, f"walltimes-{run}-{cache}"))]
    if not found:
        return []
    names = list(dict.fromkeys(part["name"] for entry in found for part in entry["parts"]))
    seconds = [{part["name"]: f"{part['seconds']:.0f}" for part in entry["parts"]} for entry in found]
    rows = [(name, *(column.get(name, "") for column in seconds)) for name in names]
    total = ("**all**", *(f"**{entry['seconds']:.0f}**" for entry in found))
    head = (f"`make {run}`", *(f"{entry['cache']}, seconds" for entry in found))
    notes = "\n\n".join(_note(entry, f"{entry['cache'].capitalize()}; parts run side by side.") for entry in found)
    return [f"{table(head, [*rows, total])}\n\n{notes}"]


def _note(found: dict[str, Any], text: str) -> str:
    where = found["machine"]
    return (f"{text} `{found['command']}`, {where['time'][:10]}, commit {where['commit']}: {where['cpus']} CPUs "
            f"({where['cpu']}), {where['memory_gib']} GiB, Linux {where['kernel']}.")
