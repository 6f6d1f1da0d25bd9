"""Run named steps, independent ones side by side, with progress on the terminal and full output in log files.

A step is a shell command or a function. It starts when the steps it needs have ended well; the first failure stops
the rest, and every child process is ended, by its process group, before `run` returns.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

TAIL_LINES = 30


class StepError(Exception):
    """A step failed. The message is what a person needs to act on it."""


@dataclass(frozen=True)
class Step:
    """One piece of work. `show` decides whether the command's output is also printed, line by line."""

    name: str
    command: Sequence[str] | Callable[["Console"], None]
    needs: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    show: bool = True


@dataclass(frozen=True)
class Outcome:
    """How a step ended."""

    name: str
    ok: bool
    seconds: float
    detail: str = ""


class Console:
    """Prints lines of several steps without mixing them, each with the seconds since the start and the step's name."""

    def __init__(self, log_dir: Path, started: float | None = None) -> None:
        self.log_dir = log_dir
        self._started = time.monotonic() if started is None else started
        self._lock = threading.Lock()
        self._children: dict[int, subprocess.Popen[str]] = {}
        self._stopping = False
        log_dir.mkdir(parents=True, exist_ok=True)

    def say(self, name: str, line: str) -> None:
        """Print one line."""
        with self._lock:
            sys.stdout.write(f"{time.monotonic() - self._started:6.0f}s  {name:<10} {line}\n")
            sys.stdout.flush()

    def call(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        show: bool = True,
        stdin: str | None = None,
    ) -> str:
        """Run a command in its own process group; returns its stdout. Raises StepError with the end of its output."""
        log = self.log_dir / f"{name}.log"
        lines: list[str] = []
        with log.open("a") as sink:
            sink.write(f"$ {' '.join(argv)}\n")
            sink.flush()
            child = subprocess.Popen(
                argv,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if show else sink,
                text=True,
                errors="replace",
                stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
            self._register(child)
            try:
                if stdin is not None and child.stdin:
                    child.stdin.write(stdin)
                    child.stdin.close()
                assert child.stdout is not None
                for line in child.stdout:
                    sink.write(line)
                    lines.append(line)
                    if show and line.strip():
                        self.say(name, line.rstrip())
                code = child.wait()
            finally:
                self._children.pop(child.pid, None)
        if code:
            tail = "".join(log.read_text(errors="replace").splitlines(keepends=True)[-TAIL_LINES:])
            raise StepError(f"`{' '.join(argv)[:200]}` ended with {code}; the end of {log}:\n{tail}")
        return "".join(lines)

    @property
    def stopping(self) -> bool:
        """Whether the commands that still run are being ended."""
        return self._stopping

    def _register(self, child: "subprocess.Popen[str]") -> None:
        self._children[child.pid] = child
        if self._stopping:
            _end(child)

    def stop(self) -> None:
        """End every running command: SIGTERM to its process group, then wait."""
        self._stopping = True
        for child in list(self._children.values()):
            _end(child)


def _end(child: "subprocess.Popen[str]") -> None:
    try:
        os.killpg(child.pid, signal.SIGTERM)
    except ProcessLookupError:
        return


def run(steps: Sequence[Step], console: Console, workers: int = 4) -> list[Outcome]:
    """Run the steps in the order of their needs. Stops at the first failure; raises KeyboardInterrupt through."""
    waiting = {step.name: step for step in steps}
    done: dict[str, Outcome] = {}
    running: dict[Future[Outcome], str] = {}
    with ThreadPoolExecutor(workers) as pool:
        try:
            while waiting or running:
                failed = any(not outcome.ok for outcome in done.values())
                ready = [] if failed else [s for s in waiting.values() if all(n in done for n in s.needs)]
                for step in ready:
                    running[pool.submit(_run_one, step, console)] = waiting.pop(step.name).name
                if not running:
                    break
                finished, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
                for future in finished:
                    outcome = future.result()
                    done[running.pop(future)] = outcome
                    if not outcome.ok:
                        console.stop()
        except BaseException:
            console.stop()
            raise
    return list(done.values())


def _run_one(step: Step, console: Console) -> Outcome:
    start = time.monotonic()
    try:
        if callable(step.command):
            step.command(console)
        else:
            console.call(step.name, step.command, env=step.env, show=step.show)
    except StepError as error:
        # A step that was ended because another failed has nothing to say: the reason stands above.
        console.say(step.name, "stopped" if console.stopping else f"FAILED: {error}")
        return Outcome(step.name, False, time.monotonic() - start, str(error))
    return Outcome(step.name, True, time.monotonic() - start)
