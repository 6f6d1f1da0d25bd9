"""Time as the API server tells it."""

from datetime import UTC, datetime, timedelta

import pytest

from anneal_operator.kube.clock import TOLERANCE, ServerClock

DATE = "Tue, 24 Nov 2026 12:00:00 GMT"
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Monotonic:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def ticks() -> Monotonic:
    return Monotonic()


def test_it_is_our_own_time_until_an_answer_came(ticks: Monotonic) -> None:
    assert abs(ServerClock(ticks).now() - datetime.now(UTC)) < timedelta(seconds=5)


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_an_answer_without_a_readable_date_changes_nothing(ticks: Monotonic, date: str | None) -> None:
    clock = ServerClock(ticks)
    clock.heard(DATE, clock.began())
    clock.heard(date, clock.began())
    assert clock.now() - NOON < timedelta(seconds=1)


def test_it_goes_on_by_the_monotonic_clock(ticks: Monotonic) -> None:
    clock = ServerClock(ticks)
    clock.heard(DATE, clock.began())
    ticks.seconds += 600
    assert timedelta(0) < clock.now() - NOON - timedelta(minutes=10) < timedelta(seconds=1)


def test_small_differences_do_not_make_it_jump(ticks: Monotonic) -> None:
    clock = ServerClock(ticks)
    clock.heard(DATE, clock.began())
    before = clock.now()
    clock.heard("Tue, 24 Nov 2026 12:00:01 GMT", clock.began())
    assert clock.now() == before


def test_an_answer_that_was_long_on_its_way_does_not_set_it_back(ticks: Monotonic) -> None:
    clock = ServerClock(ticks)
    clock.heard(DATE, clock.began())
    began = clock.began()
    ticks.seconds += 9
    clock.heard(DATE, began)
    assert clock.now() - NOON > timedelta(seconds=9)


def test_it_follows_a_server_whose_clock_is_set(ticks: Monotonic) -> None:
    clock = ServerClock(ticks)
    clock.heard(DATE, clock.began())
    clock.heard("Tue, 24 Nov 2026 11:50:00 GMT", clock.began())
    assert abs(clock.now() - (NOON - timedelta(minutes=10))) <= TOLERANCE
