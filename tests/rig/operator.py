"""The real operator as a process of its own, so that it can be killed, stopped and continued."""

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
IMAGES = {
    "ANNEAL_TRAINER_IMAGE": "example.com/trainer:1",
    "ANNEAL_VLLM_IMAGE": "example.com/vllm:1",
    "ANNEAL_TRANSFORMERS_IMAGE": "example.com/transformers:1",
}


def free_port() -> int:
    """A port nobody listens on right now."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Operator:
    """One operator. `identity` is the uid of its pod: a restarted container has the same, another replica another."""

    def __init__(self, kubeconfig: Path, log: Path, *, identity: str = "pod-a", **env: str) -> None:
        self.log = log
        self.port = free_port()
        self.env = {
            **os.environ,
            **IMAGES,
            "KUBECONFIG": str(kubeconfig),
            "ANNEAL_NAMESPACE": "default",
            "ANNEAL_POD_UID": identity,
            "ANNEAL_HTTP_PORT": str(self.port),
            "ANNEAL_LEASE_SECONDS": "6",
            "PYTHONPATH": str(ROOT / "operator"),
            **env,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; returns at once."""
        with self.log.open("ab") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "anneal_operator"],
                env=self.env,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it and to its children."""
        assert self.process
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """SIGKILL, as the kernel would; waits until it is gone."""
        if self.process and self.process.poll() is None:
            self.signal(signal.SIGKILL)
        if self.process:
            self.process.wait()

    def stop(self, timeout: float = 20) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process
        self.process.terminate()
        return self.process.wait(timeout)

    def text(self) -> str:
        """Everything it has logged."""
        return self.log.read_text(errors="replace")
