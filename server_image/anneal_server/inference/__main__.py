"""python -m anneal_server.inference"""

import signal
import sys
from collections.abc import Sequence
from types import FrameType

from anneal_server.inference.options import parse

STOPPED = 128 + signal.SIGTERM


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    # The first process of a container has no default for SIGTERM: without a handler it would be ignored, and a pod
    # that is removed while its model loads would stay for the whole of its grace period.
    signal.signal(signal.SIGTERM, leave)
    from anneal_server.inference.server import run  # takes seconds: torch

    return run(parse(argv))


def leave(_number: int, _frame: FrameType | None) -> None:
    """Nothing has been begun yet that should be finished."""
    sys.exit(STOPPED)


if __name__ == "__main__":
    sys.exit(main())
