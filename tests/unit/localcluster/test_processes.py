"""Processes are found again by pid and start time, and end for sure."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from anneal_localcluster.errors import ClusterError
from anneal_localcluster.processes import (
    Command,
    Running,
    check_alive,
    marked,
    recorded,
    signal_and_wait,
    start_detached,
    stop,
)

STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); signal.pause()"


def python(name: str, code: str, **environment: str) -> Command:
    return Command(name, [sys.executable, "-c", code], environment)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "logs", tmp_path / "pids"


def test_a_process_is_found_by_its_record_and_by_its_mark(folders: tuple[Path, Path], tmp_path: Path) -> None:
    running = start_detached(python("sleeper", "import signal; signal.pause()", ANNEAL_TEST=str(tmp_path)), *folders)
    try:
        assert recorded(folders[1]) == {"sleeper": running}
        assert marked("ANNEAL_TEST", str(tmp_path)) == [running]
    finally:
        stop([running])
    assert recorded(folders[1]) == {}
    assert marked("ANNEAL_TEST", str(tmp_path)) == []


def test_a_reused_pid_is_not_taken_for_the_old_process(folders: tuple[Path, Path]) -> None:
    running = start_detached(python("sleeper", "import signal; signal.pause()"), *folders)
    try:
        impostor = Running(running.pid, running.started - 1)
        assert not impostor.alive()
        assert signal_and_wait([impostor], signal.SIGKILL, 1) == []
        assert running.alive()
    finally:
        stop([running])


def test_one_that_ignores_sigterm_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        stop([Running(child.pid, int(fields[19]))], grace=0.2)
    assert child.returncode == -signal.SIGKILL


def test_the_last_words_of_a_process_that_ended_are_in_the_error(folders: tuple[Path, Path]) -> None:
    logs, pids = folders
    running = start_detached(python("speaker", "input_closed = 1; print('port taken', flush=True)"), logs, pids)
    signal_and_wait([running], signal.SIGCONT, 10)
    with pytest.raises(ClusterError, match=r"(?s)speaker ended.*port taken"):
        check_alive(pids, logs)
