"""`anneal chat` against a real HTTP server that speaks the OpenAI stream."""

import json

import pytest

from tests.unit.cli import samples
from tests.unit.cli.engine import Engine, pod
from tests.unit.cli.fake import FakeCluster
from tests.unit.cli.terminal import anneal


def test_a_prompt_is_answered_by_the_tuned_model(cluster: FakeCluster) -> None:
    done = anneal(cluster, "chat", "support", "-p", "hello")
    assert (done.code, done.out) == (0, "support heard: hello ✓")


def test_base_and_tuned_stand_side_by_side(cluster: FakeCluster) -> None:
    done = anneal(cluster, "chat", "support", "-p", "hi", "--compare", "base")
    row = next(line for line in done.out.splitlines() if "heard" in line)
    assert [cell.strip() for cell in row.split("│")[1:3]] == ["base heard: hi ✓", "support heard: hi ✓"]


def test_json_is_one_object_per_prompt_and_line(cluster: FakeCluster) -> None:
    done = anneal(cluster, "chat", "support", "-p", "a", "-p", "b", "--compare", "base", "-o", "json")
    assert [json.loads(line) for line in done.out.splitlines()] == [
        {"prompt": "a", "base": "base heard: a ✓", "tuned": "support heard: a ✓"},
        {"prompt": "b", "base": "base heard: b ✓", "tuned": "support heard: b ✓"}]


def test_json_without_compare_has_no_base(cluster: FakeCluster) -> None:
    done = anneal(cluster, "chat", "support", "-p", "a", "-o", "json")
    assert json.loads(done.out) == {"prompt": "a", "tuned": "support heard: a ✓"}


def test_the_conversation_and_the_settings_go_with_each_question(cluster: FakeCluster) -> None:
    anneal(cluster, "chat", "support", "-p", "a", "-p", "b", "--system", "be brief", "--max-tokens", "7")
    last = Engine.asked[-1]
    assert [m["content"] for m in last["messages"]] == ["be brief", "a", "support heard: a ✓", "b"]
    assert (last["max_tokens"], last["temperature"], last["stream"]) == (7, 0.0, True)


def test_a_complete_model_has_no_base_to_compare_with(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Engine, "models", ["support"])
    done = anneal(cluster, "chat", "support", "-p", "a", "--compare", "base")
    assert done.code == 1
    assert "The server has no model 'base'; it has: support." in done.notes


def test_an_error_in_the_middle_of_an_answer_is_told(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Engine, "broken", True)
    done = anneal(cluster, "chat", "support", "-p", "a")
    assert done.code == 1
    assert "out of memory" in done.notes


def test_a_server_that_is_not_ready_says_why(cluster: FakeCluster) -> None:
    cluster.put(samples.starting())
    cluster.put(pod("False"))
    done = anneal(cluster, "chat", "support", "-p", "a")
    assert done.code == 1
    assert "No pod of modeldeployment/support is ready to answer (Starting: the engine is loading)." in done.notes


def test_without_a_terminal_a_prompt_is_needed(cluster: FakeCluster) -> None:
    done = anneal(cluster, "chat", "support")
    assert done.code == 2
    assert "Add -p TEXT." in done.notes
