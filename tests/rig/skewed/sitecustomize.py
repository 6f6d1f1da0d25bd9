"""Put on PYTHONPATH, this makes a whole Python process live in another time: SKEW_SECONDS away from the true one."""

import datetime
import os
import time

SKEW = float(os.environ["SKEW_SECONDS"])
true_time = time.time


class SkewedDatetime(datetime.datetime):
    """`now` of another time; every module that is imported later takes this class for the real one."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> "SkewedDatetime":
        return super().now(tz) + datetime.timedelta(seconds=SKEW)


def skewed_time() -> float:
    return true_time() + SKEW


datetime.datetime = SkewedDatetime  # type: ignore[misc]
time.time = skewed_time
