"""Run inside a server's container: prints, as JSON, the command and variables that `serve` would become, and ends.

The engine's process cannot be asked: it writes a title over its own command line.
"""

import json
import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn


def tell(_program: str, argv: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Stands in for the system call that would start the engine."""
    added = {key: value for key, value in environment.items() if os.environ.get(key) != value}
    sys.stdout.write(json.dumps({"argv": list(argv), "env": added}) + "\n")
    sys.stdout.flush()
    os._exit(0)


setattr(os, "execvpe", tell)  # noqa: B010 - a plain assignment would need a lie about its type
sys.argv = ["anneal_server", *sys.argv[1:]]
runpy.run_module("anneal_server", run_name="__main__", alter_sys=True)
