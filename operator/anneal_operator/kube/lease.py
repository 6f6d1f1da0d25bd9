"""One writer: a Lease, renewed in a thread of its own so that a busy event loop does not lose it.

`may_write` is asked before each write. It judges by a clock that nobody can set and that runs on while this process
or the whole machine is stopped; so a process that was frozen finds out before it writes, not after.
The clocks of others are never trusted: their Lease counts as expired when it has not changed for its duration while
we watched.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from anneal_operator.kube.errors import LeaseLost

NAME = "anneal-operator"

log = logging.getLogger(__name__)


class LeaseConflict(Exception):
    """Somebody else wrote the Lease between our read and our write."""


class LeaseUnreachable(Exception):
    """The API server did not answer."""


@dataclass(frozen=True)
class Record:
    """What the Lease says."""

    holder: str
    duration: int
    version: str = ""
    """resourceVersion; empty: the Lease does not exist yet."""
    transitions: int = 0


class LeaseStore(Protocol):
    """Reads and writes the Lease, synchronously. Raises LeaseConflict or LeaseUnreachable."""

    def read(self) -> Record | None: ...

    def write(self, record: Record, now: datetime) -> Record: ...


def monotonic() -> float:
    """Seconds on a clock that never jumps, and goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lease:
    """Holds the Lease, from `start` to `stop`."""

    def __init__(
        self, store: LeaseStore, identity: str, seconds: int, on_lost: Callable[[], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._store = store
        self._identity = identity
        self._seconds = seconds
        self._on_lost = on_lost
        self._clock = clock
        self._renewed: float | None = None
        self._seen: Record | None = None
        self._seen_at = 0.0
        self._stop = threading.Event()
        self._acquired = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    @property
    def held(self) -> bool:
        """May this process write now?"""
        return self._remaining() > 0

    @property
    def seconds_left(self) -> float:
        """For how long it may, without another renewal."""
        return max(0.0, self._remaining())

    def may_write(self) -> float:
        """Return for how many seconds this process may still write. Raises LeaseLost when it may not."""
        remaining = self._remaining()
        if remaining <= 0:
            raise LeaseLost("the Lease was not renewed in time; another operator may be the writer")
        return remaining

    def start(self) -> None:
        """Begin to ask for the Lease, and renew it from then on."""
        self._thread.start()

    def wait(self, timeout: float) -> bool:
        """Block until the Lease is ours, at most this long."""
        return self._acquired.wait(timeout)

    def stop(self) -> None:
        """Stop renewing, and give the Lease back so that the next operator need not wait for it to expire."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(self._seconds)
        if self._renewed is not None and self.held:
            self._release()
        self._renewed = None

    def step(self) -> None:
        """Try once to get or renew the Lease; called by the thread every third of the duration."""
        began = self._clock()
        try:
            current = self._store.read()
            if self._is_free(current, began):
                self._take(current, began)
        except LeaseConflict:
            log.info("another operator wrote the Lease at the same time")
        except LeaseUnreachable as error:
            log.warning("Lease %s could not be read or written: %s", NAME, error)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.step()
            if self._acquired.is_set() and not self.held:
                log.error("lost Lease %s: ending this process, so that there is one writer", NAME)
                self._on_lost()
                return
            self._stop.wait(self._seconds / 5)

    def _remaining(self) -> float:
        if self._renewed is None:
            return 0.0
        # The margin covers that clocks of two machines run at slightly different rates.
        return self._renewed + self._seconds * 0.9 - self._clock()

    def _is_free(self, current: Record | None, now: float) -> bool:
        if current is None or current.holder in ("", self._identity):
            return True
        if self._renewed is not None:
            self._renewed = None  # somebody took it: we were too late
            return False
        if self._seen is None or self._seen.version != current.version:
            self._seen, self._seen_at = current, now
        return now >= self._seen_at + current.duration

    def _take(self, current: Record | None, began: float) -> None:
        transitions = current.transitions if current else 0
        if current is not None and current.holder != self._identity:
            transitions += 1
        wanted = Record(self._identity, self._seconds, current.version if current else "", transitions)
        self._store.write(wanted, datetime.now(UTC))
        # Counted from before the request: the server may have written it at any moment since.
        self._renewed = began
        if not self._acquired.is_set():
            log.info("acquired Lease %s", NAME)
            self._acquired.set()

    def _release(self) -> None:
        try:
            current = self._store.read()
            if current is not None and current.holder == self._identity:
                self._store.write(Record("", 1, current.version, current.transitions), datetime.now(UTC))
                log.info("released Lease %s", NAME)
        except (LeaseConflict, LeaseUnreachable) as error:
            log.warning("Lease %s was not released, it will expire: %s", NAME, error)
