"""hf:// models from a server that speaks the hub's protocol: the commit is pinned, and only loadable files are "
"fetched."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

pytest.importorskip("tokenizers", reason="needs the torch stack: run by `make test-trainer`")

from anneal_api.run import Stage
from anneal_api.termination import ExitCode
from tests.unit.trainer.tiny import Outcome, World, make_world

pytestmark = pytest.mark.torch

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """One model repository."""

    protocol_version = "HTTP/1.1"
    files: ClassVar[dict[str, bytes]] = {}
    asked: ClassVar[list[str]] = []
    """Files that were downloaded."""
    refusal: ClassVar[tuple[int, str] | None] = None
    """Status and error code for every question."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if self.refusal is not None:
            status, code = self.refusal
            said = f"refused {self.headers.get('Authorization', 'without a token')}"
            self._reply(status, b'{"error": "refused"}', {"X-Error-Code": code, "X-Error-Message": said})
        elif path.startswith("/api/models/owner/name/tree/"):
            entries = [
                {"type": "file", "path": name, "size": len(data), "oid": self._etag(data)}
                for name, data in self.files.items()
            ]
            self._reply(200, json.dumps(entries).encode())
        elif path.startswith("/api/models/owner/name"):
            siblings = [{"rfilename": name} for name in self.files]
            self._reply(200, json.dumps({"id": "owner/name", "sha": COMMIT, "siblings": siblings}).encode())
        else:
            self._file(path.removeprefix(f"/owner/name/resolve/{COMMIT}/"))

    def do_HEAD(self) -> None:
        self.do_GET()

    def _file(self, name: str) -> None:
        if name not in self.files:
            return self._reply(404, b"{}")
        if self.command == "GET":
            self.asked.append(name)
        data = self.files[name]
        return self._reply(200, data, {"ETag": f'"{self._etag(data)}"', "X-Repo-Commit": COMMIT})

    def _etag(self, data: bytes) -> str:
        return hashlib.sha1(data, usedforsecurity=False).hexdigest()

    def _reply(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (
            {"Content-Type": "application/json", "Content-Length": str(len(data))} | (headers or {})
        ).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """A test's output is no access log."""


@pytest.fixture
def hub(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    files = {path.name: path.read_bytes() for path in tiny_model.iterdir()}
    unwanted = {"pytorch_model.bin": b"pickle", "modeling_own.py": b"raise SystemExit", "logo.png": b"png"}
    handler = type("OwnHub", (Hub,), {"files": files | unwanted, "asked": [], "refusal": None})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def prepare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[World, Outcome]]:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")

    def run(**model: Any) -> tuple[World, Outcome]:
        world = make_world(tmp_path, model={"uri": "hf://owner/name"} | model)
        return world, world.run(Stage.PREPARE)

    return run


def test_the_commit_is_pinned_and_only_loadable_files_are_fetched(
    hub: type[Hub], tiny_model: Path, prepare: Callable[..., tuple[World, Outcome]]
) -> None:
    world, outcome = prepare(revision="main")

    assert outcome.code == ExitCode.OK, outcome.log
    assert outcome.result.prepare is not None
    assert outcome.result.prepare.model_revision == COMMIT
    assert outcome.result.prepare.model_path == str(world.workspace / "model")
    assert sorted(hub.asked) == sorted(path.name for path in tiny_model.iterdir())


@pytest.mark.parametrize(
    ("refusal", "code", "message"),
    [
        (
            (401, "GatedRepo"),
            ExitCode.MODEL_NOT_FOUND,
            "hf://owner/name is gated and no token was given. Fix: accept its",
        ),
        (
            (404, "RepoNotFound"),
            ExitCode.MODEL_NOT_FOUND,
            "hf://owner/name does not exist, or is private and no token was",
        ),
        ((404, "RevisionNotFound"), ExitCode.MODEL_NOT_FOUND, "hf://owner/name has no revision 'v9'. Fix: correct"),
        ((403, ""), ExitCode.STORAGE_UNAVAILABLE, "fetching hf://owner/name failed: "),
    ],
)
def test_a_refusal_says_why_and_what_to_do(
    refusal: tuple[int, str], code: int, message: str, hub: type[Hub], prepare: Callable[..., tuple[World, Outcome]]
) -> None:
    hub.refusal = refusal

    _, outcome = prepare(revision="v9")

    assert outcome.code == code, outcome.log
    assert message in outcome.result.message


def test_no_way_to_the_hub_may_be_tried_again(
    monkeypatch: pytest.MonkeyPatch, prepare: Callable[..., tuple[World, Outcome]]
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")

    _, outcome = prepare()

    assert outcome.code == ExitCode.STORAGE_UNAVAILABLE, outcome.log
    assert "check that pods may reach the hub" in outcome.result.message


def test_30_a_server_that_repeats_the_token_does_not_get_it_into_a_log_or_a_result(
    hub: type[Hub], tmp_path: Path, prepare: Callable[..., tuple[World, Outcome]]
) -> None:
    canary = "canary-with-no-look-of-a-token"
    (tmp_path / "token").write_text(f"{canary}\n")
    hub.refusal = (403, "")

    world, outcome = prepare()

    assert outcome.code == ExitCode.STORAGE_UNAVAILABLE, outcome.log
    assert "Bearer [redacted]" in outcome.log, "the server did repeat it"
    files = [tmp_path / "termination-log", *world.workspace.rglob("*.json")]
    assert len(files) > 1
    assert [text for text in (outcome.log, *(path.read_text() for path in files)) if canary in text] == []
