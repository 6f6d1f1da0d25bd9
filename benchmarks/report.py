"""Keeps what was measured: from build/, where runs leave it, to benchmarks/results, from which the pages are made."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import machine

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def keep(build: Path, results: Path, where: Mapping[str, Any]) -> list[str]:
    """Copy every file that is there; returns their names."""
    results.mkdir(parents=True, exist_ok=True)
    kept = []
    for path in sorted((build / "bench").glob("*.json")):
        shutil.copyfile(path, results / path.name)
        kept.append(path.name)
    for run in ("demo", "test"):
        path = build / run / "walltimes.json"
        if path.is_file():
            found = json.loads(path.read_text())
            name = f"walltimes-{run}-{found['cache']}.json"
            (results / name).write_text(json.dumps({**found, "machine": where}, indent=2) + "\n")
            kept.append(name)
    return kept


def main() -> None:
    """Copy and say what."""
    kept = keep(ROOT / "build", RESULTS, machine.describe())
    print("\n".join(f"benchmarks/results/{name}" for name in kept) or "build/ holds no figures; run a benchmark first")


if __name__ == "__main__":
    main()
