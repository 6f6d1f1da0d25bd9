"""How long each part of `make demo` and `make test` took, kept for the benchmark page."""

import json
from collections.abc import Sequence
from pathlib import Path

from anneal_dev.environment import cache_dir
from anneal_dev.steps import Outcome

FILE = "walltimes.json"


def temperature() -> str:
    """cold: this machine has no Kubernetes built yet, and so nothing that comes after it."""
    return "warm" if any(cache_dir().glob("node-*/anneal-node")) else "cold"


def keep(folder: Path, command: str, began: str, outcomes: Sequence[Outcome], seconds: float) -> None:
    """Write them, when every part ended well: the times of a failed run compare with nothing."""
    if not all(outcome.ok for outcome in outcomes):
        return
    parts = [{"name": outcome.name, "seconds": round(outcome.seconds, 1)} for outcome in outcomes]
    found = {"command": command, "cache": began, "parts": parts, "seconds": round(seconds, 1)}
    (folder / FILE).write_text(json.dumps(found, indent=2) + "\n")
