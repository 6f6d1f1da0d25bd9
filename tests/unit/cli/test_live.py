"""What a person at a terminal sees: pictures that redraw in place, answers that grow, a conversation."""

import io
import re

import pytest
from rich.console import Console

from anneal_cli.__main__ import main, parser, run
from anneal_cli.cluster import Change
from anneal_cli.session import Session
from tests.unit.cli import samples
from tests.unit.cli.engine import Engine
from tests.unit.cli.fake import FakeCluster
from tests.unit.cli.terminal import NOW, Clock

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal(Session):
    """A session with a person in front of it who types these lines."""

    interactive = True

    def __init__(self, fake: FakeCluster, *typed: str) -> None:
        clock, lines = Clock(), iter(typed)
        out = Console(file=io.StringIO(), width=80, height=24, force_terminal=True, highlight=False)
        out.input = lambda *_, **__: next(lines)  # type: ignore[method-assign]
        notes = Console(file=io.StringIO(), width=80, force_terminal=True)
        notes.input = lambda *_, **__: next(lines)  # type: ignore[method-assign]
        super().__init__(lambda: fake, out, notes, lambda: NOW, clock.monotonic, clock.pause)

    @property
    def shown(self) -> str:
        assert isinstance(self.out.file, io.StringIO)
        return ESCAPES.sub("", self.out.file.getvalue())

    def anneal(self, *argv: str) -> int:
        return run(parser().parse_args(argv), self)


def test_a_watch_redraws_and_leaves_the_whole_last_picture() -> None:
    fake = FakeCluster(samples.training(), samples.serving())
    fake.watches["finetunejobs"] = [[Change("MODIFIED", samples.succeeded())]]
    terminal = Terminal(fake)
    assert terminal.anneal("status", "support", "-w") == 0
    assert "42/69  61%" in terminal.shown
    last = terminal.shown[terminal.shown.rindex("FineTuneJob support"):]
    assert "✔ Succeeded" in last
    assert "Model     support  (its base model: base)" in last
    fake.close()


def test_answers_grow_in_place_and_stay(cluster: FakeCluster) -> None:
    terminal = Terminal(cluster)
    assert terminal.anneal("chat", "support", "-p", "hi", "--compare", "base") == 0
    assert "base heard: hi ✓" in terminal.shown
    assert "support heard: hi ✓" in terminal.shown


def test_a_conversation_remembers_and_ends_with_an_empty_line(cluster: FakeCluster) -> None:
    terminal = Terminal(cluster, "one", "two", "")
    assert terminal.anneal("chat", "support") == 0
    assert [m["content"] for m in Engine.asked[-1]["messages"]] == ["one", "support heard: one ✓", "two"]


def test_init_asks_for_what_is_missing() -> None:
    terminal = Terminal(FakeCluster(), "pvc://data/rows.jsonl", "pvc://models/out")
    assert terminal.anneal("init", "support", "--model", "hf://owner/name") == 0
    assert "uri: pvc://data/rows.jsonl" in terminal.shown


def test_an_interrupt_is_exit_code_130() -> None:
    def interrupted() -> FakeCluster:
        raise KeyboardInterrupt

    session = Session(interrupted)
    assert run(parser().parse_args(["list"]), session) == 130


@pytest.mark.parametrize("argv", [[], ["nonsense"], ["status", "--timeout", "soon"], ["logs"], ["completion", "tcsh"]])
def test_wrong_usage_is_exit_code_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    assert "usage: " in capsys.readouterr().err
