"""The watchdog calls when nothing has moved, says where the main thread stands, and else keeps quiet."""

import queue
import threading
from pathlib import Path

import pytest

from anneal_trainer.watchdog import Watchdog


def wait_for_a_call(calls: "queue.Queue[str]") -> str:
    return calls.get(timeout=30)


def test_it_says_where_the_main_thread_stands(capfd: pytest.CaptureFixture[str]) -> None:
    calls: queue.Queue[str] = queue.Queue()
    with Watchdog(0.2, calls.put):
        where = wait_for_a_call(calls)
    assert f"wait_for_a_call ({Path(__file__).name}:" in where
    assert "wait_for_a_call" in capfd.readouterr().err  # the stacks of all threads


def test_signs_of_life_keep_it_quiet() -> None:
    calls: queue.Queue[str] = queue.Queue()
    clock = threading.Event()
    with Watchdog(5.0, calls.put) as watchdog:
        for _ in range(10):
            clock.wait(0.05)
            watchdog.alive()
    assert calls.empty()


def test_after_its_end_it_does_not_call() -> None:
    calls: queue.Queue[str] = queue.Queue()
    with Watchdog(0.3, calls.put):
        pass
    with pytest.raises(queue.Empty):
        calls.get(timeout=0.8)
    assert "watchdog" not in {thread.name for thread in threading.enumerate()}
