"""Where things lie and which addresses the cluster takes. Everything else is derived from these."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

KUBERNETES_VERSION = "v1.37.2"
HELM_VERSION = "v4.3.1"
HELM3_VERSION = "v3.22.0"
NODE_NAME = "anneal-local"
BRIDGE = "anneal0"
CLUSTER_DOMAIN = "cluster.local"
STORAGE_PROVISIONER = "localcluster.anneal.dev/folder"
SANDBOX_IMAGE = "localhost/anneal/pause:1"
# Raise it when a change to the state folder makes an older cluster unusable.
STATE_VERSION = "1"
# Set in every process of a cluster to its state folder: how `down` finds what a crash left behind.
MARK = "ANNEAL_LOCALCLUSTER"


def cache_root() -> Path:
    configured = os.environ.get("ANNEAL_CACHE")
    return Path(configured) if configured else Path.home() / ".cache" / "anneal"


@dataclass(frozen=True)
class Network:
    """The bridge address serves the API, the kubelet and DNS: pods and host both reach it."""

    pods: str = "10.244.0.0/16"
    services: str = "10.96.0.0/16"

    @property
    def bridge_address(self) -> str:
        return str(next(ipaddress.ip_network(self.pods).hosts()))

    @property
    def bridge_interface(self) -> str:
        return f"{self.bridge_address}/{ipaddress.ip_network(self.pods).prefixlen}"

    @property
    def api_service(self) -> str:
        return str(next(ipaddress.ip_network(self.services).hosts()))


@dataclass(frozen=True)
class Ports:
    apiserver: int = 6443
    etcd: int = 2379
    etcd_peer: int = 2380
    controller_manager: int = 10257
    scheduler: int = 10259
    kubelet: int = 10250
    kubelet_health: int = 10248
    proxy_health: int = 10256
    proxy_metrics: int = 10249
    dns: int = 53
    dns_health: int = 18080
    dns_ready: int = 18181


@dataclass(frozen=True)
class Folders:
    """`state` lives as long as the cluster, `run` until a reboot, `cache` until a person removes it."""

    state: Path = Path("/var/lib/anneal-localcluster")
    run: Path = Path("/run/anneal-localcluster")

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def config(self) -> Path:
        return self.state / "config"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def pids(self) -> Path:
        return self.state / "pids"

    @property
    def volumes(self) -> Path:
        return self.state / "volumes"

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def version(self) -> Path:
        return self.state / "version"

    @property
    def options(self) -> Path:
        return self.state / "options.json"

    @property
    def binary(self) -> Path:
        """A link to what the cluster was started with, even when the sources have moved on since."""
        return self.state / "anneal-node"

    @property
    def containerd_socket(self) -> Path:
        return self.run / "containerd.sock"

    @property
    def containerd_root(self) -> Path:
        """In the cache, so that imported images outlive the cluster."""
        return cache_root() / "containerd"
