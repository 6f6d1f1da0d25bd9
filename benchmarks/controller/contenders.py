"""The programs that are compared: our operator, and the twin in Go."""

import os
import re
import subprocess
from pathlib import Path
from typing import Protocol

import aiohttp

from benchmarks.controller.go_twin import ensure_twin, write_children
from benchmarks.controller.plane import SYSTEM
from tests.rig.operator import Operator

Buckets = dict[float, float]
"""Of a histogram of Prometheus: how many values were at most so large."""
_BUCKET = re.compile(r'anneal_loop_lag_seconds_bucket\{le="([^"]+)"\} (\S+)')


class Contender(Protocol):
    """A controller that can be started, killed and started again."""

    @property
    def pid(self) -> int: ...

    def start(self) -> None: ...

    def kill(self) -> None: ...

    async def loop_lag(self) -> Buckets:
        """How late its event loop was, each second since it started; empty when it has none."""
        ...


class Anneal(Operator):
    """Our operator, as its container starts it."""

    def __init__(self, kubeconfig: Path, log: Path) -> None:
        super().__init__(kubeconfig, log, identity="bench", ANNEAL_NAMESPACE=SYSTEM, ANNEAL_LEASE_SECONDS="15")

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    async def loop_lag(self) -> Buckets:
        """As its metrics say."""
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}/metrics") as page:
            text = await page.text()
        return {float(le): float(count) for le, count in _BUCKET.findall(text)}


class Twin:
    """The twin in Go."""

    def __init__(self, kubeconfig: Path, log: Path) -> None:
        children = kubeconfig.with_name("children.json")
        write_children(children)
        self._argv = [str(ensure_twin()), str(children)]
        self._env = {**os.environ, "KUBECONFIG": str(kubeconfig)}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def start(self) -> None:
        """Start it; returns at once."""
        with self._log.open("ab") as sink:
            self._process = subprocess.Popen(self._argv, env=self._env, stdout=sink, stderr=sink,
                                             start_new_session=True)

    def kill(self) -> None:
        """SIGKILL, as the kernel would; waits until it is gone."""
        if self._process:
            self._process.kill()
            self._process.wait()

    async def loop_lag(self) -> Buckets:
        """Go has no event loop."""
        return {}
