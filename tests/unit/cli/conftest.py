"""Fixtures of several files."""

import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer

import pytest

from tests.unit.cli import samples
from tests.unit.cli.engine import Engine, pod
from tests.unit.cli.fake import FakeCluster


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCluster]:
    """A ModelDeployment that serves, with a real HTTP server behind its pod."""
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
