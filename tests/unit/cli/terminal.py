"""Running a command as a user does, with its output, its messages and its exit code."""

import io
from dataclasses import dataclass
from datetime import UTC, timedelta

from rich.console import Console

from anneal_cli.__main__ import parser, run
from anneal_cli.session import Session
from tests.unit.cli.fake import FakeCluster
from tests.unit.cli.samples import START

NOW = START + timedelta(seconds=100)


class Clock:
    """A clock that `pause` moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def pause(self, seconds: float) -> None:
        self.seconds += seconds


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    notes: str


def anneal(cluster: FakeCluster, *argv: str, width: int = 80) -> Done:
    """Run `anneal ARGV` against the fake cluster."""
    out, notes, clock = console(width), console(width), Clock()
    session = Session(lambda: cluster, out, notes, lambda: NOW.astimezone(UTC), clock.monotonic, clock.pause)
    try:
        code = run(parser().parse_args(argv), session)
    finally:
        cluster.close()
    return Done(code, text(out), text(notes))


def console(width: int) -> Console:
    """A console without a terminal: no colour, no cursor."""
    return Console(file=io.StringIO(), width=width, highlight=False, color_system=None, force_terminal=False)


def text(terminal: Console) -> str:
    """What was printed, without the blanks that fill lines up."""
    assert isinstance(terminal.file, io.StringIO)
    return "\n".join(line.rstrip() for line in terminal.file.getvalue().splitlines())
