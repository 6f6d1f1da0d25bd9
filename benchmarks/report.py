"""Keeps what was measured: from build/, where runs leave it, to benchmarks/results, from which the pages are made.

`--log FILE --cache cold` takes the wall times of a `make test` from what it printed, where that is all there is of it.
"""

import argparse
import json
import re
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


PART = re.compile(r"^(?P<name>[a-z-]+) +ok +(?P<seconds>[0-9.]+)(?: |$)", re.MULTILINE)
CLOCK = re.compile(r"^ *(?P<seconds>[0-9]+)s  ", re.MULTILINE)


def from_log(text: str, cache: str) -> dict[str, Any]:
    """The table at the end of a `make test` that ended well, as walltimes.json has it."""
    if not re.search(r"^[0-9]+ passed, 0 failed", text, re.MULTILINE):
        raise ValueError("this is no log of a `make test` that ended well; times of failed runs compare with nothing")
    parts = [{"name": part["name"], "seconds": float(part["seconds"])} for part in PART.finditer(text)]
    last = max(int(line["seconds"]) for line in CLOCK.finditer(text))
    return {"command": "make test", "cache": cache, "parts": parts, "seconds": float(last)}


def main() -> None:
    """Copy and say what."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", type=Path, help="what a `make test` printed")
    parser.add_argument("--cache", choices=("cold", "warm"), default="cold", help="what that run began with (cold)")
    chosen = parser.parse_args()
    if chosen.log:
        found = from_log(chosen.log.read_text(), chosen.cache)
        (ROOT / "build" / "test").mkdir(parents=True, exist_ok=True)
        (ROOT / "build" / "test" / "walltimes.json").write_text(json.dumps(found))
    kept = keep(ROOT / "build", RESULTS, machine.describe())
    print("\n".join(f"benchmarks/results/{name}" for name in kept) or "build/ holds no figures; run a benchmark first")


if __name__ == "__main__":
    main()
