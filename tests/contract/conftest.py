"""The transformers engine as a process of its own, started as in a pod, with a tiny model and an adapter on it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract import model
from tests.rig.operator import free_port

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / name) for name in ("operator", "server_image"))}
START_SECONDS = 120


@dataclass(frozen=True)
class Server:
    """A running engine."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def started(folder: Path, models: Path) -> Iterator[Server]:
    """An engine that has completed a prompt under each of its names, by the probe of its pod."""
    port, spec, log = free_port(), folder / "serve.json", folder / "log"
    spec.write_text(model.serve_spec(models, port))
    serve = [sys.executable, "-m", "anneal_server", "serve", "--spec", str(spec)]
    probe = [sys.executable, "-S", "-m", "anneal_server.probe", str(spec)]
    with log.open("wb") as sink:
        process = subprocess.Popen(serve, env=ENVIRONMENT, stdout=sink, stderr=sink)
    try:
        deadline = time.monotonic() + START_SECONDS
        while subprocess.run(probe, env=ENVIRONMENT, capture_output=True, check=False).returncode:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.5)  # as the kubelet does between two probes
        yield Server(process, port, log)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """base and support, an adapter on it."""
    folder = tmp_path_factory.mktemp("models")
    model.make(folder)
    return folder


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[Server]:
    """One for all tests that do not end it; nothing that it says may be a traceback."""
    with started(tmp_path_factory.mktemp("server"), models) as running:
        yield running
        assert "Traceback" not in running.log.read_text()
