"""Pure: what can be wrong with a machine before anything is touched, and what a person can do about it."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, fields

from anneal_localcluster.errors import ClusterError
from anneal_localcluster.settings import Network, Ports, cache_root

GIB = 1024**3
# The Go build cache, the modules, the binary and the node's own files; images need their own room.
DISK_FIRST_TIME = 8 * GIB
DISK_LATER = 2 * GIB
# What the kubelet refuses to run without.
CONTROLLERS = frozenset({"cpu", "cpuset", "memory", "pids"})


@dataclass(frozen=True)
class Listener:
    """A listening socket. `owner` reads like "dnsmasq, pid 12"."""

    address: str
    port: int
    owner: str


@dataclass(frozen=True)
class Route:
    destination: str
    device: str


@dataclass(frozen=True)
class Machine:
    system: str
    uid: int
    free_disk: int
    listeners: Sequence[Listener]
    routes: Sequence[Route]
    other_nodes: Sequence[str]
    controllers: frozenset[str]


def judge(machine: Machine, network: Network, ports: Ports, disk_needed: int) -> None:
    judge_system(machine)
    judge_disk(machine.free_disk, disk_needed)
    judge_other_nodes(machine.other_nodes)
    judge_controllers(machine.controllers)
    judge_routes(machine.routes, network)
    judge_ports(machine.listeners, ports, network.bridge_address)


def judge_system(machine: Machine) -> None:
    if machine.system != "Linux":
        raise ClusterError(
            f"this is {machine.system}; the local cluster needs Linux (it runs containers on this kernel)",
            "use a Linux machine or VM, or your own cluster with CLUSTER=existing (kind and k3d work)",
        )
    if machine.uid != 0:
        raise ClusterError(
            "not root: network, mounts and cgroups of a node need it",
            "run the same command with sudo, or use your own cluster with CLUSTER=existing",
        )


def judge_disk(free: int, needed: int) -> None:
    if free < needed:
        raise ClusterError(
            f"{free / GIB:.1f} GiB are free below {cache_root()} or /var/lib, and {needed / GIB:.0f} GiB are needed",
            "make room, or set ANNEAL_CACHE to a folder on a larger disk",
        )


def judge_other_nodes(others: Sequence[str]) -> None:
    if others:
        raise ClusterError(
            f"another Kubernetes node runs on this machine: {', '.join(others)}",
            "stop it first, or use that cluster with CLUSTER=existing",
        )


def judge_controllers(present: frozenset[str]) -> None:
    missing = sorted(CONTROLLERS - present)
    if missing:
        raise ClusterError(
            f"the kernel offers no cgroup controllers for {', '.join(missing)} in /sys/fs/cgroup",
            "enable them (kernel command line, or the settings of the container this runs in)",
        )


def judge_routes(routes: Sequence[Route], network: Network) -> None:
    for name, subnet in (("pod", network.pods), ("service", network.services)):
        taken = next((route for route in routes if overlaps(route.destination, subnet)), None)
        if taken:
            raise ClusterError(
                f"the {name} range {subnet} overlaps the route {taken.destination} on {taken.device}",
                f"remove that route, or choose a free range: up --{name}-range 10.200.0.0/16",
            )


def overlaps(destination: str, subnet: str) -> bool:
    route = ipaddress.ip_network(destination, strict=False)
    return route.prefixlen > 0 and route.overlaps(ipaddress.ip_network(subnet))


def judge_ports(listeners: Sequence[Listener], ports: Ports, bridge_address: str) -> None:
    ours = {bridge_address, "127.0.0.1"}
    for field in fields(ports):
        port = getattr(ports, field.name)
        for listener in listeners:
            if listener.port == port and (listener.address in ours or is_wildcard(listener.address)):
                raise ClusterError(
                    f"port {port} ({field.name}) is in use on {listener.address} by {listener.owner}",
                    "stop that process, or use your own cluster with CLUSTER=existing",
                )


def is_wildcard(address: str) -> bool:
    return ipaddress.ip_address(address).is_unspecified
