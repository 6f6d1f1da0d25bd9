"""python -m anneal_server resolve|fetch|serve|probe --spec FILE

The verbs are imported when they are called: probe runs every few seconds beside an engine that is loading, and must not
cost the time that pydantic takes to start.
"""

import argparse
import sys
from pathlib import Path

# anneal_api.serve and anneal_api.run say the same (a test compares them) but take half a second to import.
SERVE_FILE = "/etc/anneal/serve/serve.json"
TERMINATION_LOG = "/dev/termination-log"
VERBS = ("resolve", "fetch", "serve", "probe")


def main(argv: list[str] | None = None) -> int:
    """Run one verb; the exit code is an anneal_api.run.ExitCode, and for probe 0 or 1."""
    parser = argparse.ArgumentParser(prog="anneal_server", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("verb", choices=VERBS)
    parser.add_argument("--spec", type=Path, default=Path(SERVE_FILE))
    parser.add_argument("--termination-log", type=Path, default=Path(TERMINATION_LOG))
    chosen = parser.parse_args(argv)
    if chosen.verb == "probe":
        from anneal_server.probe import probe

        return probe(chosen.spec)
    from anneal_server.verbs import run

    return run(chosen.verb, chosen.spec, chosen.termination_log)


if __name__ == "__main__":
    sys.exit(main())
