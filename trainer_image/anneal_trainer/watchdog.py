"""Ends a stage that stands still: a collective that waits for a lost peer, a volume that does not answer.

Such a process looks healthy from outside and holds its GPU until somebody looks. A thread of its own sees it as long as
what hangs lets go of the interpreter, as libraries do while they wait; the run's deadline ends the rest.
"""

import faulthandler
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable

FRAMES = 4
"""Of the stack in the message, innermost last; the log has the stacks of all threads."""


class Watchdog:
    """Calls `stalled` in a thread of its own when it has heard nothing for `seconds`.

    `stalled` gets a line that says where the main thread stands, and must end the process.
    """

    def __init__(self, seconds: float, stalled: Callable[[str], None]) -> None:
        self._seconds = seconds
        self._stalled = stalled
        self._heard = time.monotonic()
        self._stop = threading.Event()

    def alive(self) -> None:
        """Something has moved."""
        self._heard = time.monotonic()

    def __enter__(self) -> "Watchdog":
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()

    def _watch(self) -> None:
        while not self._stop.wait(max(0.0, self._heard + self._seconds - time.monotonic())):
            if time.monotonic() - self._heard >= self._seconds:
                faulthandler.dump_traceback(all_threads=True)
                self._stalled(_where())
                return


def _where() -> str:
    """The innermost frames of the main thread, on one line."""
    ident = threading.main_thread().ident
    frame = sys._current_frames().get(ident) if ident is not None else None
    calls = traceback.extract_stack(frame)[-FRAMES:] if frame else []
    return " > ".join(f"{call.name} ({os.path.basename(call.filename)}:{call.lineno})" for call in calls)
