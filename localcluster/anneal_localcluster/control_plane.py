"""A real API server without a node: etcd, kube-apiserver, controller-manager and scheduler on loopback.

Needs neither root nor containerd; any number run side by side. The processes are children of the caller
and end with it, however it ends:

    with ControlPlane(folder) as cluster:
        use(cluster.kubeconfig)
"""

from __future__ import annotations

import shutil
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from anneal_localcluster import bootstrap, build, components, processes
from anneal_localcluster.components import Site
from anneal_localcluster.errors import ClusterError
from anneal_localcluster.processes import Command
from anneal_localcluster.readiness import accounts_ready, api_ready, wait_for
from anneal_localcluster.settings import Folders, Network, Ports

START_TIMEOUT = 60.0


def loopback_site(state: Path) -> Site:
    etcd, peer, api, manager, scheduler = free_ports(5)
    ports = Ports(apiserver=api, etcd=etcd, etcd_peer=peer, controller_manager=manager, scheduler=scheduler)
    folders = Folders(state=state.resolve(), run=state.resolve() / "run")
    return Site(build.ensure_node_binary(), folders, Network(), ports, api_address="127.0.0.1")


def free_ports(count: int) -> list[int]:
    """All are held until the last is found, so that they differ."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for candidate in sockets:
            candidate.bind(("127.0.0.1", 0))
        return [candidate.getsockname()[1] for candidate in sockets]


class ControlPlane:
    def __init__(self, state: Path) -> None:
        self.site = loopback_site(state)
        self.children: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def kubeconfig(self) -> Path:
        return self.site.folders.kubeconfig

    @property
    def url(self) -> str:
        return self.site.api_url

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        bootstrap.write_control_plane(self.site)
        self.run(components.api(self.site))
        wait_for("the API server", lambda: api_ready(self.site), START_TIMEOUT, self.check)
        self.run(components.controllers(self.site))
        wait_for("the default service account", lambda: accounts_ready(self.site), START_TIMEOUT, self.check)

    def run(self, commands: list[Command]) -> None:
        for command in commands:
            logs = self.site.folders.logs
            self.children[command.name] = processes.start(command, logs, processes.die_with_parent)

    def check(self) -> None:
        for name, child in self.children.items():
            if child.poll() is not None:
                raise ClusterError(f"{name} ended:\n    {processes.tail(self.site.folders.logs, name)}")

    def stop(self) -> None:
        """Kills: the data is thrown away, so nothing is gained by a polite end."""
        for child in self.children.values():
            child.kill()
        for child in self.children.values():
            child.wait()
        self.children.clear()
        shutil.rmtree(self.site.folders.state / "etcd", ignore_errors=True)
