"""A watch that went deaf is found out by what a LIST shows."""

from typing import Any

from anneal_operator.controllers.health import PATIENCE, WatchHealth
from anneal_operator.kube.kinds import JOB, POD


class Clock:
    """Shows what the test says."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def job(version: int) -> dict[str, Any]:
    return {"metadata": {"uid": "u", "resourceVersion": str(version)}}


def health_after_a_miss(version: int) -> tuple[WatchHealth, Clock]:
    clock = Clock()
    health = WatchHealth(clock)
    health.missed(JOB, job(version))
    return health, clock


def test_an_event_that_is_only_late_is_waited_for() -> None:
    health, clock = health_after_a_miss(5)
    clock.now = PATIENCE
    assert health.deaf() == ""


def test_an_event_that_never_comes_makes_the_watch_deaf() -> None:
    health, clock = health_after_a_miss(5)
    clock.now = PATIENCE + 1
    assert "Job" in health.deaf()


def test_an_event_of_that_version_or_a_later_one_makes_it_healthy() -> None:
    health, clock = health_after_a_miss(5)
    health.seen(JOB, job(4))
    clock.now = PATIENCE + 1
    assert health.deaf() != ""
    health.seen(JOB, job(6))
    assert health.deaf() == ""


def test_many_misses_do_not_move_the_deadline() -> None:
    health, clock = health_after_a_miss(5)
    clock.now = PATIENCE - 1
    health.missed(JOB, job(8))
    clock.now = PATIENCE + 1
    assert health.deaf() != ""


def test_a_watch_that_begins_anew_from_a_list_need_not_tell_what_that_showed() -> None:
    health, clock = health_after_a_miss(5)
    health.missed(POD, {"metadata": {"uid": "p", "resourceVersion": "6"}})
    health.listed(JOB)
    clock.now = PATIENCE + 1
    assert health.deaf().endswith(": Pod")
