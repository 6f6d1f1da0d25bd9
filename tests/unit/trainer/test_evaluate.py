"""Evaluate against a real HTTP server that speaks the engine's protocol with known answers and probabilities."""

import json
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from anneal_api.finetunejob_status import DatasetStatus, Scores
from anneal_api.run import PrepareSummary, RunSpec, Stage, StageResult
from anneal_trainer import engine
from anneal_trainer.engine import Engine, find_engines
from anneal_trainer.errors import EngineFailed, StorageUnavailable
from anneal_trainer.evaluate import evaluate
from anneal_trainer.places import Places
from anneal_trainer.results import report
from tests.unit.trainer.tiny import UID, World, make_world, write_lines

PROBABILITY = {"base": 0.25, "tuned": 0.5}
ANSWER = {"base": "I cannot say.", "tuned": "It lasts 5 years."}


class Handler(BaseHTTPRequestHandler):
    """Every token has the model's one probability; every question gets the model's one answer."""

    models: ClassVar[list[str]] = []
    failures: ClassVar[list[int]] = []
    """Status codes to answer with first."""
    mixes: ClassVar[bool] = False
    """The base's tokens go through the adapter as soon as that is in use."""
    tuned_asked: ClassVar[threading.Event]
    asked_before: ClassVar[bool] = False

    def do_GET(self) -> None:
        routes: dict[str, Any] = {
            "/v1/models": {"data": [{"id": name} for name in self.models]},
            "/version": {"version": "0.32.0"},
        }
        self._reply(200, routes[self.path])

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.failures:
            self._reply(self.failures.pop(), {"error": "no"})
        elif body["model"] not in self.models:
            self._reply(404, {"error": f"no model {body['model']}"})
        else:
            self._reply(200, {"choices": [self._completion(body) if "prompt" in body else self._chat(body)]})

    def _completion(self, body: dict[str, Any]) -> dict[str, Any]:
        assert (body["max_tokens"], body["prompt_logprobs"], body["temperature"]) == (1, 0, 0)
        if body["model"] == "tuned":
            self.tuned_asked.set()
        elif self.mixes and self.asked_before:
            # The crowd: the tuned model's requests are under way beside this one.
            assert self.tuned_asked.wait(10)
        probability = PROBABILITY["tuned" if self.mixes and self.tuned_asked.is_set() else body["model"]]
        type(self).asked_before = True
        entry = {"logprob": math.log(probability), "rank": 1, "decoded_token": "x"}
        return {"text": "", "prompt_logprobs": [None] + [{str(token): entry} for token in body["prompt"][1:]]}

    def _chat(self, body: dict[str, Any]) -> dict[str, Any]:
        assert (body["max_tokens"], body["temperature"], body["messages"][-1]["role"]) == (128, 0, "user")
        return {"message": {"content": ANSWER[body["model"]]}}

    def _reply(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """A test's output is no access log."""


@pytest.fixture
def handler() -> type[Handler]:
    own = {"models": ["base", "tuned"], "failures": [], "tuned_asked": threading.Event()}
    return type("OwnHandler", (Handler,), own)


@contextmanager
def serving(*servers: ThreadingHTTPServer) -> Iterator[str]:
    """The URL of the first one."""
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield f"http://127.0.0.1:{servers[0].server_port}"
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()


def neighbours(first: type[Handler], second: type[Handler]) -> tuple[ThreadingHTTPServer, ThreadingHTTPServer]:
    """On two ports that follow each other."""
    while True:
        server = ThreadingHTTPServer(("127.0.0.1", 0), first)
        try:
            return server, ThreadingHTTPServer(("127.0.0.1", server.server_port + 1), second)
        except OSError:  # the next port is somebody else's
            server.server_close()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_POLL_SECONDS", 0.01)


@pytest.fixture
def url(handler: type[Handler]) -> Iterator[str]:
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as url:
        yield url


def prepared_world(tmp_path: Path, **changes: Any) -> tuple[World, RunSpec, Places]:
    world = make_world(tmp_path, **changes)
    places = Places(workspace=world.workspace, claims=world.claims, termination_log=tmp_path / "message")
    write_lines(places.data / "test.jsonl", [{"line": 1, "ids": [5, 6, 7, 8], "mask": [0, 0, 1, 1]}] * 3)
    summary = PrepareSummary(run_hash="abc", model_path="/m", model_digest="d", dataset=DatasetStatus())
    report(StageResult(stage=Stage.PREPARE, uid=UID, prepare=summary), places)
    return world, RunSpec.model_validate(world.spec), places


def test_base_and_tuned_are_scored_side_by_side_and_every_answer_is_kept(url: str, tmp_path: Path) -> None:
    _, run, places = prepared_world(tmp_path)

    scores = evaluate(run, places, url).evaluation

    assert scores.perplexity == Scores(base=4.0, tuned=2.0)
    assert scores.exact_match == Scores(base=0.0, tuned=1.0)
    assert (scores.prompts, scores.engine) == (2, "vllm 0.32.0")
    answers = [json.loads(line) for line in (places.stage("evaluate") / "answers.jsonl").read_text().splitlines()]
    assert answers[0] == {
        "id": "tent",
        "prompt": "And the tent?",
        "base": "I cannot say.",
        "tuned": "It lasts 5 years.",
        "basePassed": False,
        "passed": True,
    }
    assert json.loads((places.stage("evaluate") / "evaluation.json").read_text()) == scores.to_wire()


def test_an_engine_that_answers_for_the_base_with_the_adapter_is_caught(
    handler: type[Handler], url: str, tmp_path: Path
) -> None:
    """The base is asked alone first; once the tuned model has been asked, its weights answer for both."""
    _, run, places = prepared_world(tmp_path)
    handler.mixes = True

    said = r"base scores row 1 with 1\.386 nats per token alone and 0\.693 while tuned"
    with pytest.raises(EngineFailed, match=said):
        evaluate(run, places, url)


def test_without_prompts_only_perplexity_is_measured(url: str, tmp_path: Path) -> None:
    _, run, places = prepared_world(tmp_path, evaluation={})

    scores = evaluate(run, places, url).evaluation

    assert scores.exact_match is None
    assert scores.perplexity is not None


def test_each_model_may_have_a_server_of_its_own() -> None:
    one, other = (type("Own", (Handler,), {"models": [name]}) for name in ("base", "tuned"))
    servers = neighbours(one, other)
    with serving(*servers) as url:
        found = find_engines(url, ("base", "tuned"), wait_seconds=10)

    assert found["base"] == Engine(url, "base")
    assert found["tuned"].url.endswith(f":{servers[1].server_port}")


def test_a_model_that_never_comes_is_named(handler: type[Handler], url: str) -> None:
    handler.models = ["base"]

    with pytest.raises(EngineFailed, match=r"served tuned within 0 s\. Fix: look at the log of the engine container"):
        find_engines(url, ("base", "tuned"), wait_seconds=0)


def test_an_engine_that_stumbles_is_asked_again(handler: type[Handler], url: str) -> None:
    handler.failures = [503, 500]

    assert Engine(url, "tuned").token_log_probabilities([1, 2]) == [None, math.log(0.5)]


def test_an_engine_that_stays_down_ends_the_stage(handler: type[Handler], url: str) -> None:
    handler.failures = [500, 500, 500]

    with pytest.raises(EngineFailed, match="answered 500"):
        Engine(url, "tuned").token_log_probabilities([1, 2])


def test_a_refusal_is_final_and_told(url: str) -> None:
    with pytest.raises(EngineFailed, match=r"answered 404: .*no model nobody"):
        Engine(url, "nobody").token_log_probabilities([1, 2])


def test_the_workspace_of_another_job_is_not_used(url: str, tmp_path: Path) -> None:
    world, _, places = prepared_world(tmp_path)
    other = RunSpec.model_validate(world.spec | {"uid": "2"})

    with pytest.raises(StorageUnavailable, match="belongs to the FineTuneJob with uid 11111111"):
        evaluate(other, places, url)
