"""What holds for every verb: how it ends when the cluster or the name is not there, and that its JSON is JSON."""

import argparse
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from anneal_cli.__main__ import parser
from anneal_cli.errors import Unavailable
from anneal_cli.rights import RIGHTS
from tests.unit.cli import samples
from tests.unit.cli.fake import FakeCluster
from tests.unit.cli.terminal import anneal
from tests.unit.cli.test_logs import pod

ARGUMENTS = {"chat": ("support", "-p", "hello"), "list": (), "doctor": (), "version": (), "completion": ("bash",)}
"""Of the verbs that need other words than a NAME."""
ASKING = [verb for verb, rights in RIGHTS.items() if rights]
NAMED = [verb for verb in ASKING if verb not in ("list", "doctor", "version")]
SILENT = Unavailable("The API server of context test does not answer.", "Check that the cluster runs.")


class Silent(FakeCluster):
    """Nobody answers."""

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise SILENT

    get = list = watch = create = patch = log = read = _refuse

    @contextmanager
    def connect(self, pod: str, port: int) -> Iterator[Any]:
        """No connection either."""
        raise SILENT
        yield


def words(verb: str) -> tuple[str, ...]:
    return verb, *ARGUMENTS.get(verb, ("support",))


def writes_json() -> list[str]:
    """Every verb that takes `-o json`."""
    actions = next(a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    return [verb for verb, sub in actions.choices.items()
            if any(action.dest == "output" and "json" in (action.choices or ()) for action in sub._actions)]


@pytest.mark.parametrize("verb", RIGHTS)
def test_an_unknown_option_is_exit_code_2_and_the_usage_of_the_verb(
    verb: str, capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit, match="2"):
        parser().parse_args([*words(verb), "--nonsense"])
    told = capsys.readouterr().err
    assert re.match(rf"usage: \S+ {verb} ", told)
    assert "unrecognized arguments: --nonsense" in told


@pytest.mark.parametrize("verb", ASKING)
def test_a_cluster_that_does_not_answer_is_exit_code_1_and_a_sentence(verb: str) -> None:
    done = anneal(Silent(), *words(verb))
    assert done.code == 1
    assert SILENT.message in " ".join((done.out + " " + done.notes).split())
    assert SILENT.fix in " ".join((done.out + " " + done.notes).split())


@pytest.mark.parametrize("verb", NAMED)
def test_an_unknown_name_is_exit_code_1_and_named(verb: str) -> None:
    done = anneal(FakeCluster(), *words(verb))
    assert (done.code, done.out) == (1, "")
    assert "'support'" in done.notes
    assert done.notes.startswith("Error: No ")


@pytest.mark.parametrize("verb", writes_json())
def test_json_is_json_and_nothing_else(verb: str, cluster: FakeCluster) -> None:
    for item in (samples.succeeded(), pod("train-0", "train")):
        cluster.put(item)
    cluster.logs["train-0", "main"] = [[samples.progress_line(1)]]
    out = anneal(cluster, *words(verb), "-o", "json").out
    assert [json.loads(text) for text in (out.splitlines() if verb == "chat" else [out])] != []
