"""The entry point: a small parent that keeps the operator process running.

The kubelet restarts a container that ends after a growing pause of up to five minutes (CrashLoopBackOff), which is
right for a program that cannot work and wrong for one that lost a watch or its Lease. So the parent, which does
nothing that could fail, starts the operator anew after a short pause of its own.
"""

import asyncio
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType

from anneal_operator.controllers import logs
from anneal_operator.settings import Settings, SettingsError, from_environment

CHILD = "--child"
EXIT_SETTINGS = 2
SHORT_LIFE = 60.0
"""Seconds; a process that ends sooner is restarted after a pause that doubles each time."""
FIRST_PAUSE = 0.5
LAST_PAUSE = 30.0

log = logging.getLogger("anneal_operator")


def main(arguments: list[str]) -> int:
    """Return the exit code of the process."""
    try:
        settings = from_environment(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"anneal-operator: {error}\n")
        return EXIT_SETTINGS
    logs.configure(settings.log_level)
    if CHILD in arguments:
        return _operate(settings)
    return Supervisor([sys.executable, "-m", "anneal_operator", CHILD]).run()


def _operate(settings: Settings) -> int:
    from anneal_operator.controllers import brains, process  # the parent stays small without them

    asyncio.run(process.main(settings, brains.brains(settings.pods)))
    return 0


class Supervisor:
    """Starts the operator, passes signals on to it, and starts it anew when it ends without being told to."""

    def __init__(self, command: Sequence[str], first_pause: float = FIRST_PAUSE) -> None:
        self._command = command
        self._first_pause = first_pause
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()

    def run(self) -> int:
        """Return the exit code of the last child."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        pause = self._first_pause
        while True:
            began = time.monotonic()
            code = self._run_child()
            if self._stopping.is_set() or code == EXIT_SETTINGS:
                return max(code, 0)
            pause = self._first_pause if time.monotonic() - began > SHORT_LIFE else min(pause * 2, LAST_PAUSE)
            self._pause(pause * random.uniform(0.5, 1.0), code)

    def _run_child(self) -> int:
        if self._stopping.is_set():
            return 0
        self._child = subprocess.Popen(self._command)
        if self._stopping.is_set():  # the signal came between the two lines above
            self._child.terminate()
        return self._child.wait()

    def _pause(self, seconds: float, code: int) -> None:
        log.error("the operator process ended with code %s; next start in %.1f s", code, seconds)
        self._stopping.wait(seconds)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self._stopping.set()
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
