"""The startup probe against a real HTTP server that answers as an engine does."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from anneal_api.serve import ServeModel, ServeSpec
from anneal_server import probe as probe_module
from anneal_server.probe import expected, probe


class Engine(BaseHTTPRequestHandler):
    """Lists `names` and completes with those that are not in `broken`, once it has loaded."""

    names: tuple[str, ...] = ("base", "support")
    broken: tuple[str, ...] = ()
    loading: int = 0
    """Requests that it refuses first."""
    asked: list[dict[str, Any]]

    def do_GET(self) -> None:
        if type(self).loading:
            type(self).loading -= 1
            return self.answer(503, {"error": "loading"})
        return self.answer(200, {"data": [{"id": name} for name in self.names]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body)
        if body["model"] in self.broken:
            self.answer(500, {"error": "adapter could not be loaded"})
        else:
            self.answer(200, {"choices": [{"text": "!"}]})

    def answer(self, code: int, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """The test's output is not the engine's log."""


@contextmanager
def engine(**behaviour: Any) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    asked: list[dict[str, Any]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("One", (Engine,), {**behaviour, "asked": asked}))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port, asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def write_spec(folder: Path, port: int) -> Path:
    spec = ServeSpec(models=[ServeModel(name="base", path="/b")], adapters=[ServeModel(name="support", path="/s")],
                     port=port)
    path = folder / "serve.json"
    path.write_text(json.dumps(spec.to_wire()))
    return path


def test_ready_when_every_name_has_completed_a_token(tmp_path: Path) -> None:
    with engine() as (port, asked):
        assert probe(write_spec(tmp_path, port)) == 0
    assert [(body["model"], body["max_tokens"]) for body in asked] == [("base", 1), ("support", 1)]


@pytest.mark.parametrize(("behaviour", "words"), [
    ({"names": ("base",)}, "does not serve 'support'; it serves base"),
    ({"names": ()}, "does not serve 'base'; it serves nothing"),
    ({"broken": ("support",)}, "POST /v1/completions"),
])
def test_not_ready_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], behaviour: dict[str, Any], words: str,
) -> None:
    with engine(**behaviour) as (port, _):
        assert probe(write_spec(tmp_path, port), 0) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("not ready: ")
    assert words in line


def test_not_ready_while_nothing_listens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with engine() as (port, _):
        spec_file = write_spec(tmp_path, port)
    assert probe(spec_file, 0) == 1
    assert f"port {port} does not answer yet" in capsys.readouterr().err


def test_waits_for_an_engine_that_is_still_loading(tmp_path: Path) -> None:
    with engine(loading=1) as (port, asked):
        assert probe(write_spec(tmp_path, port)) == 0
    assert [body["model"] for body in asked] == ["base", "support"]


def test_not_ready_without_a_spec(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert probe(tmp_path / "serve.json", 0) == 1
    assert "serve.json" in capsys.readouterr().err


def test_complete_models_answer_on_ports_of_their_own() -> None:
    spec = {"port": 9000, "models": [{"name": "a"}, {"name": "b"}], "adapters": [{"name": "c"}]}
    assert expected(spec) == {9000: ["a", "c"], 9001: ["b"]}


def test_the_probe_runs_without_site_packages(tmp_path: Path) -> None:
    """With the command of the startup probe, whose start must cost the loading engine next to nothing."""
    folder = Path(probe_module.__file__).parents[1]
    with engine() as (port, asked):
        command = [sys.executable, "-S", "-m", "anneal_server.probe", str(write_spec(tmp_path, port))]
        done = subprocess.run(command, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ready\n", "")
    assert len(asked) == 2
