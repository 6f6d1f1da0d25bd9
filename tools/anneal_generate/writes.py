"""docs/writes.md: what one resource costs the API server, from the golden files that the fault rig compares with."""

import json
from pathlib import Path
from typing import Any

from anneal_generate.text import markdown_file, table

LIVES = {
    "run": "FineTuneJob from creation to its published artifact",
    "suspend": "the same, suspended once in training and resumed",
    "delete-run": "FineTuneJob deleted while it trains",
    "serve": "ModelDeployment that serves, then a second revision that replaces the first",
    "serve-broken": "ModelDeployment that serves, then a second revision whose servers crash and that is rolled back",
    "delete-serve": "ModelDeployment that serves, then is deleted",
}
INTRODUCTION = """What the operator writes to the API server in one life of a resource that nothing disturbs.
Tests on a real API server compare every count with these numbers, and demand the same children when the operator is
killed before or after any single one of these writes (`make test-faults`). Status is patched when a pass sees something
new; one pass may see two changes at once, so that the number of its patches varies: at most twice the fewest. A settled
resource costs no write and no read."""


def files(root: Path) -> dict[str, str]:
    """The page."""
    golden = {life: json.loads((root / "tests" / "golden" / "writes" / f"{life}.json").read_text()) for life in LIVES}
    rows = [_row(life, found) for life, found in golden.items()]
    head = ("life", "children made", "children deleted by us", "Events", "status patches", "writes in all")
    sections = [section for life, found in golden.items() for section in _details(life, found)]
    return {"docs/writes.md": markdown_file("Writes", INTRODUCTION, table(head, rows), *sections)}


def _row(life: str, found: dict[str, Any]) -> tuple[str, ...]:
    fewest = found["fewest_status_patches"]
    writes = sum(found["writes"].values())
    return (LIVES[life], str(sum(found["created"].values())), str(sum(found["deleted"].values())),
            str(found["writes"].get("POST events", 0)), f"{fewest} to {2 * fewest}",
            f"{writes + fewest} to {writes + 2 * fewest}")


def _details(life: str, found: dict[str, Any]) -> tuple[str, str]:
    rows = [(f"`{name}`", str(count), str(found["deleted"].get(name, 0))) for name, count in found["created"].items()]
    return f"## {LIVES[life][0].upper()}{LIVES[life][1:]}", table(("child", "made", "deleted by us"), rows)
