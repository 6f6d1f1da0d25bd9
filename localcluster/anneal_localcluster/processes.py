"""Child processes that outlive us: started once, found again by pid and start time, stopped for sure."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from anneal_localcluster.errors import ClusterError
from anneal_localcluster.shell import complete

PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Command:
    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Running:
    """A pid alone may be reused by another process; with its start time it may not."""

    pid: int
    started: int

    def alive(self) -> bool:
        return start_time(self.pid) == self.started


def start_time(pid: int) -> int | None:
    """In clock ticks since boot; None when there is no such process or it is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def die_with_parent() -> None:
    """Runs in the child before exec: the kernel kills it when the thread that started it ends."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def start(command: Command, logs: Path, before_exec: Callable[[], None] | None = None) -> subprocess.Popen[bytes]:
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / f"{command.name}.log").open("ab") as log:
        return subprocess.Popen(
            command.argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=complete(command.environment),
            cwd="/",
            start_new_session=True,
            preexec_fn=before_exec,
        )


def start_detached(command: Command, logs: Path, pids: Path) -> Running:
    """The child belongs to nobody afterwards: its pid file is how later calls find it."""
    child = start(command, logs)
    child.returncode = 0  # Popen would warn at exit about a child that we mean to leave running.
    started = start_time(child.pid)
    if started is None:
        raise ClusterError(f"{command.name} ended at once: {tail(logs, command.name)}")
    running = Running(child.pid, started)
    pids.mkdir(parents=True, exist_ok=True)
    (pids / f"{command.name}.json").write_text(json.dumps(asdict(running)))
    return running


def recorded(pids: Path) -> dict[str, Running]:
    """Every process in the pid files that still lives."""
    found = {file.stem: Running(**json.loads(file.read_text())) for file in sorted(pids.glob("*.json"))}
    return {name: running for name, running in found.items() if running.alive()}


def forget_ended(pids: Path) -> None:
    """Records from before a crash would make every start look like a failed one."""
    living = recorded(pids)
    for file in pids.glob("*.json"):
        if file.stem not in living:
            file.unlink()


def check_alive(pids: Path, logs: Path) -> None:
    """Raises when a process that was started is gone, with its last words."""
    ended = sorted({file.stem for file in pids.glob("*.json")} - set(recorded(pids)))
    if ended:
        raise ClusterError(f"{ended[0]} ended:\n    {tail(logs, ended[0])}")


def stop(targets: Sequence[Running], grace: float = 10.0, first: signal.Signals = signal.SIGTERM) -> None:
    """Asks all at once, waits, then kills those that stayed."""
    stayed = signal_and_wait(targets, first, grace)
    if stayed:
        signal_and_wait(stayed, signal.SIGKILL, grace)


def signal_and_wait(targets: Sequence[Running], number: signal.Signals, grace: float) -> list[Running]:
    watched: dict[int, Running] = {}
    poll = select.poll()
    for target in targets:
        descriptor = open_pidfd(target)
        if descriptor is not None:
            watched[descriptor] = target
            poll.register(descriptor, select.POLLIN)
            signal.pidfd_send_signal(descriptor, number)
    wait_for_ends(poll, watched, grace)
    for descriptor in watched:
        os.close(descriptor)
    return [target for target in watched.values() if target.alive()]


def open_pidfd(target: Running) -> int | None:
    try:
        descriptor = os.pidfd_open(target.pid)
    except ProcessLookupError:
        return None
    if target.alive():
        return descriptor
    os.close(descriptor)
    return None


def wait_for_ends(poll: select.poll, watched: Mapping[int, Running], grace: float) -> None:
    left = set(watched)
    while left:
        ended = poll.poll(grace * 1000)
        if not ended:
            return
        for descriptor, _ in ended:
            poll.unregister(descriptor)
            left.discard(descriptor)


def marked(key: str, value: str) -> list[Running]:
    """Processes started with this environment variable, whoever is their parent by now."""
    needle = f"{key}={value}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid() and needle in environment_of(entry):
            started = start_time(int(entry.name))
            if started is not None:
                found.append(Running(int(entry.name), started))
    return found


def environment_of(process: Path) -> list[bytes]:
    try:
        return (process / "environ").read_bytes().split(b"\0")
    except (OSError, ProcessLookupError):
        return []


def tail(logs: Path, name: str, lines: int = 15) -> str:
    file = logs / f"{name}.log"
    if not file.exists():
        return "(no log)"
    return "\n    ".join(file.read_text(errors="replace").splitlines()[-lines:]) + f"\n  full log: {file}"
