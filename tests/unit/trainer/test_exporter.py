"""/metrics of a train pod, asked over HTTP."""

import socket
import urllib.request

from anneal_api.run import Progress
from anneal_trainer.exporter import Exporter


def page(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, value in (line.split() for line in lines if not line.startswith("#"))}


def test_it_shows_the_newest_progress_and_keeps_what_a_line_does_not_tell() -> None:
    exporter = Exporter()
    port = exporter.serve(0)
    exporter.show(Progress(step=7, total_steps=20, epoch=0.5, loss=2.5, learning_rate=1e-4, tokens_per_second=380,
                           eta_seconds=12, time="2026-01-05T10:00:00Z"))  # fmt: skip
    exporter.show(Progress(step=8, total_steps=20, epoch=0.6, eval_loss=2.25, time="2026-01-05T10:00:09Z"))
    assert page(port) == {
        "anneal_train_step": 8, "anneal_train_steps": 20, "anneal_train_epoch": 0.6, "anneal_train_loss": 2.5,
        "anneal_train_eval_loss": 2.25, "anneal_train_learning_rate": 1e-4, "anneal_train_tokens_per_second": 380,
        "anneal_train_eta_seconds": 12, "anneal_train_last_progress_timestamp_seconds": 1767607209,
    }  # fmt: skip


def test_a_port_that_is_taken_does_not_stop_training() -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        assert Exporter().serve(taken.getsockname()[1]) == 0
