"""Running other programs, with their own words in the error when they fail."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from anneal_localcluster.errors import ClusterError
from anneal_localcluster.settings import cache_root

SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"


def run(argv: Sequence[str], *, text: str | None = None, environment: Mapping[str, str] | None = None) -> str:
    done = attempt(argv, text=text, environment=environment)
    if done.returncode:
        reason = (done.stderr or done.stdout).strip()
        raise ClusterError(f"`{' '.join(argv)}` failed with exit code {done.returncode}: {reason}")
    return done.stdout


def attempt(
    argv: Sequence[str], *, text: str | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """For commands whose failure is an answer; a program that is not there fails with 127, as in a shell."""
    try:
        return subprocess.run(
            argv, input=text, env=complete(environment or {}), capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return subprocess.CompletedProcess(argv, 127, stdout="", stderr=f"{argv[0]}: not found")


def complete(extra: Mapping[str, str]) -> dict[str, str]:
    """Our environment, with the folders of system programs, which a user's PATH may lack."""
    both = {**os.environ, **extra}
    return {**both, "PATH": f"{both.get('PATH', '')}:{SYSTEM_PATH}"}


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


@contextmanager
def exclusive(task: str) -> Iterator[None]:
    """One process at a time on this machine does the task; others wait."""
    cache_root().mkdir(parents=True, exist_ok=True)
    with (cache_root() / f"{task}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"  waiting for another process that has the {task} lock")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Progress:
    """One line for each finished step, with the time it took."""

    def __init__(self) -> None:
        self.begin = time.monotonic()
        self.last = self.begin

    def step(self, message: str) -> None:
        now = time.monotonic()
        say(f"  {message}  ({now - self.last:.1f} s)")
        self.last = now

    @property
    def total(self) -> float:
        return time.monotonic() - self.begin
