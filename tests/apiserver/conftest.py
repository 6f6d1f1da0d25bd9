"""A real API server with our CRDs, and the operator's runtime as a process of its own."""

import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.rig.api import Api, Object
from tests.rig.kinds import api_server
from tests.rig.operator import Operator
from tests.rig.proxy import FaultProxy

LITTLE = Path(__file__).with_name("little_operator.py")


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A control plane that knows our kinds."""
    with api_server(tmp_path_factory.mktemp("control-plane")) as kubeconfig:
        yield kubeconfig


@pytest.fixture
async def api(kubeconfig: Path) -> AsyncIterator[Api]:
    """Requests of the test's own."""
    async with Api(kubeconfig) as made:
        yield made


class LittleOperator(Operator):
    """The runtime around the brain of little_operator.py."""

    def start(self) -> None:
        with self.log.open("ab") as sink:
            self.process = subprocess.Popen([sys.executable, str(LITTLE)], env=self.env, stdout=sink, stderr=sink,
                                            start_new_session=True)


@dataclass
class Place:
    """A namespace of its own, and what is needed to run operators that serve it."""

    api: Api
    namespace: str
    folder: Path
    stack: AsyncExitStack

    async def proxy(self) -> FaultProxy:
        """A way to the API server that writes down what passes."""
        return await self.stack.enter_async_context(FaultProxy(self.api))

    def operator(self, proxy: FaultProxy, identity: str, **env: str) -> LittleOperator:
        """A running operator behind this proxy; the test's end is its end."""
        folder = self.folder / identity
        folder.mkdir()
        operator = LittleOperator(proxy.kubeconfig(folder), folder / "log", identity=identity,
                                  ANNEAL_NAMESPACE=self.namespace, ANNEAL_WATCH_NAMESPACES=self.namespace, **env)
        self.stack.callback(operator.kill)
        operator.start()
        return operator

    async def create(self, kind: str, name: str) -> Object:
        """A resource with the smallest spec."""
        spec: dict[str, Any] = {
            "FineTuneJob": {"model": {"uri": "pvc://models/base"}, "dataset": {"uri": "pvc://data/rows.jsonl"},
                            "output": {"uri": "pvc://models/tuned"}},
            "ModelDeployment": {"model": {"uri": "pvc://models/tuned"}},
        }[kind]
        return await self.api.create({"apiVersion": "anneal.dev/v1alpha1", "kind": kind,
                                      "metadata": {"name": name}, "spec": spec}, self.namespace)

    async def settled(self, kind: str, name: str) -> Object:
        """The resource once the little brain has nothing left to do."""
        return await self.api.until(kind, self.namespace, name, phase_is("Settled"))


def phase_is(phase: str) -> Callable[[Object], bool]:
    """Does a resource report this phase?"""
    return lambda resource: bool(resource.get("status", {}).get("phase") == phase)


_numbers = count()


@pytest.fixture
async def place(api: Api, tmp_path: Path) -> AsyncIterator[Place]:
    """A namespace that no other test uses."""
    namespace = f"place-{next(_numbers)}"
    await api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    async with AsyncExitStack() as stack:
        yield Place(api, namespace, tmp_path, stack)
