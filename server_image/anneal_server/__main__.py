"""python -m anneal_server resolve|serve --spec FILE"""

import argparse
import sys
from pathlib import Path

from anneal_api.serve import SERVE_FILE
from anneal_api.termination import TERMINATION_LOG
from anneal_server.verbs import run

VERBS = ("resolve", "serve")


def main(argv: list[str] | None = None) -> int:
    """Run one verb; the exit code is an anneal_api.termination.ExitCode."""
    parser = argparse.ArgumentParser(prog="anneal_server", description=__doc__)
    parser.add_argument("verb", choices=VERBS)
    parser.add_argument("--spec", type=Path, default=Path(SERVE_FILE))
    parser.add_argument("--termination-log", type=Path, default=Path(TERMINATION_LOG))
    chosen = parser.parse_args(argv)
    return run(chosen.verb, chosen.spec, chosen.termination_log)


if __name__ == "__main__":
    sys.exit(main())
