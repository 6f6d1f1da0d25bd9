"""`python -m benchmarks.controller`: the operator at many resources, in turn with a twin in Go, A B A B."""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

from benchmarks import machine
from benchmarks.controller import race, report
from benchmarks.controller.contenders import Anneal, Twin
from benchmarks.controller.go_twin import ensure_twin

EXIT_MISSED = 3
RATE = 20.0
OUT = Path(__file__).parents[2] / "build" / "bench"


def main() -> int:
    """Returns 3 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="resources (1000)")
    parser.add_argument("--release", type=int, default=0,
                        help="how many of them go to their end; the others stay in their first stage (all)")
    parser.add_argument("--rate", type=float, default=RATE, help=f"resources created in a second ({RATE:g})")
    parser.add_argument("--rounds", type=int, default=2, help="times that each contender goes (2)")
    parser.add_argument("--alone", action="store_true", help="without the twin")
    parser.add_argument("--quiet", type=float, default=30.0, help="seconds for which idle requests are counted (30)")
    parser.add_argument("--folder", type=Path, help="keep the logs here")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _end)
    with tempfile.TemporaryDirectory(prefix="bench-controller-") as temporary:
        found = _rounds(arguments, arguments.folder or Path(temporary))
    print(report.table(found["anneal"], found["twin"]))
    return 0 if all(goal.met for goal in report.goals(found["anneal"], found["twin"])) else EXIT_MISSED


def _end(number: int, _: FrameType | None) -> NoReturn:
    """A run that is stopped must not leave contenders and control planes behind."""
    raise SystemExit(128 + number)


def _rounds(arguments: argparse.Namespace, folder: Path) -> dict[str, list[race.Figures]]:
    contenders: dict[str, race.MakeContender] = {"anneal": Anneal}
    if not arguments.alone:
        _say("building the twin")
        ensure_twin()
        contenders["twin"] = Twin
    load = race.Load(arguments.count, arguments.release or arguments.count, arguments.rate)
    found: dict[str, list[race.Figures]] = {"anneal": [], "twin": []}
    for number in range(arguments.rounds):
        for name, make in contenders.items():
            _say(f"round {number + 1}: {name}")
            place = folder / f"{name}-{number + 1}"
            found[name].append(asyncio.run(race.run(make, load, arguments.quiet, place, _say)))
            # Each time: a course is many minutes, and what is known of it must outlive the next one.
            _write(arguments, found)
    return found


def _write(arguments: argparse.Namespace, found: dict[str, list[race.Figures]]) -> None:
    count, other = arguments.count, arguments.rate != RATE
    words = [f"N={count}", *([f"RELEASE={arguments.release}"] if arguments.release else ()),
             *([f"RATE={arguments.rate:g}"] if other else ()), f"ROUNDS={arguments.rounds}",
             *(["ALONE=yes"] if arguments.alone else ())]
    result = {
        "command": f"make bench-controller {' '.join(words)}", "machine": machine.describe(),
        "count": count, "rounds": found,
        "rows": [vars(row) for row in report.rows(found["anneal"], found["twin"])],
        "goals": [{**vars(goal), "met": goal.met} for goal in report.goals(found["anneal"], found["twin"])],
    }
    OUT.mkdir(parents=True, exist_ok=True)
    place = f"controller-{count}-at-{arguments.rate:g}" if other else f"controller-{count}"
    (OUT / f"{place}.json").write_text(json.dumps(result, indent=1) + "\n")


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
