"""The parent process, with children that do as told instead of the operator."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PARENT = """
import sys
from anneal_operator.__main__ import Supervisor
sys.exit(Supervisor([sys.executable, "-u", "-c", sys.argv[1]], first_pause=0.01).run())
"""
SAY_AND_WAIT = "import signal; print('up', flush=True); signal.pause()"
OBEY = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: (print('told', flush=True), sys.exit(0)))
print('up', flush=True)
signal.pause()
"""


class Parents:
    """Starts parents, and ends what is left of them."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[str]] = []

    def start(self, child: str) -> subprocess.Popen[str]:
        parent = subprocess.Popen(
            [sys.executable, "-c", PARENT, child], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT / "operator")}, start_new_session=True)
        self.started.append(parent)
        return parent

    def end(self) -> None:
        for parent in self.started:
            if parent.poll() is None:
                os.killpg(parent.pid, signal.SIGKILL)
            parent.communicate()


@pytest.fixture
def parents() -> Iterator[Parents]:
    made = Parents()
    yield made
    made.end()


def line(parent: subprocess.Popen[str]) -> str:
    assert parent.stdout is not None
    return parent.stdout.readline().strip()


def test_a_child_that_ends_is_started_again(parents: Parents) -> None:
    parent = parents.start("print('up', flush=True); raise SystemExit(1)")
    assert [line(parent) for _ in range(3)] == ["up", "up", "up"]


def test_sigterm_is_passed_on_and_ends_both(parents: Parents) -> None:
    parent = parents.start(OBEY)
    assert line(parent) == "up"
    parent.terminate()
    assert line(parent) == "told"
    assert parent.wait(10) == 0


def test_a_child_killed_by_the_signal_is_no_failure(parents: Parents) -> None:
    parent = parents.start(SAY_AND_WAIT)
    assert line(parent) == "up"
    parent.terminate()
    assert parent.wait(10) == 0


def test_settings_that_cannot_work_are_not_tried_again(parents: Parents) -> None:
    parent = parents.start("print('up', flush=True); raise SystemExit(2)")
    assert parent.wait(10) == 2
    assert line(parent) == "up"
    assert line(parent) == ""


def test_sigterm_ends_a_pause(parents: Parents) -> None:
    parent = parents.start("print('up', flush=True); raise SystemExit(1)")
    for _ in range(4):
        line(parent)
    parent.terminate()
    assert parent.wait(10) in (0, 1)


def test_a_missing_setting_is_named() -> None:
    done = subprocess.run([sys.executable, "-m", "anneal_operator"], env={"PYTHONPATH": str(ROOT / "operator")},
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "ANNEAL_TRAINER_IMAGE is not set" in done.stderr
    assert "Traceback" not in done.stderr
