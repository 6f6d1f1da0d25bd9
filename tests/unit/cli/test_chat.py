"""`anneal chat` against a real HTTP server that speaks the OpenAI stream."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from anneal_cli import kinds
from tests.unit.cli import samples
from tests.unit.cli.fake import FakeCluster
from tests.unit.cli.terminal import anneal


class Engine(BaseHTTPRequestHandler):
    """Answers every chat with the model's name and the last message."""

    models: ClassVar[list[str]] = ["base", "support"]
    broken: ClassVar[bool] = False
    asked: ClassVar[list[dict[str, Any]]] = []

    def do_GET(self) -> None:
        self._send("application/json", json.dumps({"data": [{"id": name} for name in self.models]}).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body)
        if self.broken:
            self._send("text/event-stream", b'data: {"error": {"message": "out of memory"}}\n\n')
            return
        pieces = [body["model"], " heard: ", body["messages"][-1]["content"], " ✓"]
        events = [{"choices": [{"delta": {"role": "assistant"}}]},
                  *({"choices": [{"delta": {"content": piece}}]} for piece in pieces)]
        stream = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
        self._send("text/event-stream", f"{stream}data: [DONE]\n\n".encode())

    def _send(self, kind: str, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCluster]:
    monkeypatch.setattr(Engine, "asked", [])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Engine)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    fake = FakeCluster(samples.serving(), pod())
    fake.address = ("127.0.0.1", server.server_port)
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()


def pod(ready: str = "True") -> samples.Object:
    return {"kind": "Pod", "spec": {"containers": []}, "status": {"conditions": [{"type": "Ready", "status": ready}]},
            "metadata": {"name": "server", "namespace": "default", "uid": "pod-uid",
                         "labels": {kinds.LABEL_UID: "modeldeployment-support-uid"}}}


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
