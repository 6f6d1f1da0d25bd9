"""The API server's clock, told by the Date of its answers.

Deadlines and pauses compare now with times that the API server wrote into objects. The clock of our own node may be
minutes off, or be set while we run: then a pause would be skipped, or a deadline pass too early. Between two answers
time goes on by a clock that nobody can set.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

TOLERANCE = timedelta(seconds=1)
"""What several API servers of one cluster may differ by, without time jumping to and fro."""
SECOND = timedelta(seconds=1)


class ServerClock:
    """What time it is, for everything that is compared with times in objects."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._zero: datetime | None = None
        """The API server's time when our monotonic clock was at zero."""

    def began(self) -> timedelta:
        """When a request begins; to be given to `heard`."""
        return timedelta(seconds=self._monotonic())

    def heard(self, date: str | None, began: timedelta) -> None:
        """An answer came, written at this time: in whole seconds, and after the request began."""
        try:
            written = parsedate_to_datetime(date or "")
        except ValueError:
            return
        earliest, latest = written - self.began(), written + SECOND - began
        if self._zero is None or not earliest - TOLERANCE <= self._zero <= latest + TOLERANCE:
            self._zero = earliest + (latest - earliest) / 2

    def now(self) -> datetime:
        """The API server's time; our own until it has answered once."""
        if self._zero is None:
            return datetime.now(UTC)
        return self._zero + self.began()
