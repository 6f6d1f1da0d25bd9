"""The Lease, step by step on a clock that the test sets."""

import threading
from dataclasses import replace
from datetime import datetime

import pytest

from anneal_operator.kube.errors import LeaseLost
from anneal_operator.kube.lease import Lease, LeaseConflict, LeaseUnreachable, Record

DURATION = 15


class Shelf:
    """The API server's Lease object, for several operators."""

    def __init__(self) -> None:
        self.record: Record | None = None
        self.down = False
        self.raced = False
        self._version = 0

    def read(self) -> Record | None:
        if self.down:
            raise LeaseUnreachable("down")
        return self.record

    def write(self, record: Record, now: datetime) -> Record:
        if self.down:
            raise LeaseUnreachable("down")
        if self.raced or record.version != (self.record.version if self.record else ""):
            raise LeaseConflict
        self._version += 1
        self.record = replace(record, version=str(self._version))
        return self.record


class Clock:
    """Shows what the test says."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Two:
    """Two operators that want the same Lease."""

    def __init__(self) -> None:
        self.shelf, self.clock = Shelf(), Clock()
        self.a = Lease(self.shelf, "pod-a", DURATION, lambda: None, self.clock)
        self.b = Lease(self.shelf, "pod-b", DURATION, lambda: None, self.clock)

    def after(self, seconds: float) -> None:
        self.clock.now += seconds


@pytest.fixture
def two() -> Two:
    return Two()


def test_the_first_gets_it_and_the_second_does_not(two: Two) -> None:
    two.a.step()
    two.b.step()
    assert (two.a.held, two.b.held) == (True, False)
    assert two.a.may_write() == pytest.approx(DURATION * 0.9)
    with pytest.raises(LeaseLost):
        two.b.may_write()


def test_who_renews_keeps_it(two: Two) -> None:
    for _ in range(20):
        two.a.step()
        two.b.step()
        two.after(5)
        assert (two.a.held, two.b.held) == (True, False)


def test_the_second_gets_it_when_the_first_has_stopped_renewing_and_never_before_that(two: Two) -> None:
    two.a.step()
    for _ in range(10):
        two.b.step()
        assert not (two.a.held and two.b.held)
        two.after(2)
    assert (two.a.held, two.b.held) == (False, True)
    assert two.shelf.record is not None
    assert two.shelf.record.transitions == 1


def test_a_lease_of_unknown_age_is_waited_for_in_full(two: Two) -> None:
    """What the holder's clock wrote into it is never looked at."""
    two.a.step()
    two.after(1000)
    two.b.step()
    assert not two.b.held
    two.after(DURATION)
    two.b.step()
    assert two.b.held


def test_a_frozen_process_finds_out_before_it_writes(two: Two) -> None:
    two.a.step()
    two.b.step()
    two.after(60)
    two.b.step()
    with pytest.raises(LeaseLost):
        two.a.may_write()
    two.a.step()
    assert not two.a.held


def test_a_frozen_process_goes_on_when_nobody_took_over(two: Two) -> None:
    two.a.step()
    two.after(60)
    with pytest.raises(LeaseLost):
        two.a.may_write()
    two.a.step()
    assert two.a.held


def test_an_outage_ends_the_right_to_write_and_nobody_else_gets_it(two: Two) -> None:
    two.a.step()
    two.shelf.down = True
    two.after(10)
    two.a.step()
    assert two.a.held
    two.after(4)
    two.a.step()
    two.b.step()
    assert (two.a.held, two.b.held) == (False, False)


def test_a_race_for_a_free_lease_has_one_winner(two: Two) -> None:
    two.shelf.raced = True
    two.a.step()
    assert not two.a.held


def test_the_same_pod_gets_it_back_at_once(two: Two) -> None:
    """The supervising parent restarts the process inside the same pod."""
    two.a.step()
    again = Lease(two.shelf, "pod-a", DURATION, lambda: None, two.clock)
    again.step()
    assert again.held
    assert two.shelf.record is not None
    assert two.shelf.record.transitions == 0


def test_a_released_lease_is_free_at_once(two: Two) -> None:
    two.a.step()
    two.b.step()
    two.a.stop()
    two.b.step()
    assert (two.a.held, two.b.held) == (False, True)


def test_what_another_holds_is_not_released(two: Two) -> None:
    two.a.step()
    two.b.step()
    two.after(60)
    two.b.step()
    two.a.stop()
    assert two.shelf.record is not None
    assert two.shelf.record.holder == "pod-b"


def test_the_thread_acquires_and_reports_the_loss() -> None:
    shelf, clock = Shelf(), Clock()
    lost = threading.Event()
    lease = Lease(shelf, "pod-a", 1, lost.set, clock)
    lease.start()
    assert lease.wait(5)
    shelf.down = True
    clock.now += 10
    assert lost.wait(5)
    lease.stop()
