"""What can be wrong with a machine before anything is touched. Facts are gathered, then judged: the
judges are pure, so that tests can lie about the machine."""

from __future__ import annotations

import ipaddress
import json
import os
import platform
import shutil
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from anneal_localcluster.errors import ClusterError
from anneal_localcluster.settings import BRIDGE, MARK, Folders, Network, Ports, cache_root
from anneal_localcluster.shell import run

GIB = 1024**3
# The Go build cache, the modules, the binary and the node's own files; images need their own room.
DISK_FIRST_TIME = 8 * GIB
DISK_LATER = 2 * GIB
NODE_PROGRAMS = frozenset({"kubelet", "k3s", "k3s-server", "k0s", "kubelite", "rke2"})


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


def judge(machine: Machine, network: Network, ports: Ports, disk_needed: int) -> None:
    judge_system(machine)
    judge_disk(machine.free_disk, disk_needed)
    judge_other_nodes(machine.other_nodes)
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
            f"{cache_root()} has {free / GIB:.1f} GiB free, and {needed / GIB:.0f} GiB are needed",
            "make room, or set ANNEAL_CACHE to a folder on a larger disk",
        )


def judge_other_nodes(others: Sequence[str]) -> None:
    if others:
        raise ClusterError(
            f"another Kubernetes node runs on this machine: {', '.join(others)}",
            "stop it first, or use that cluster with CLUSTER=existing",
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


def gather(folders: Folders) -> Machine:
    if platform.system() != "Linux":
        return Machine(platform.system(), os.getuid(), 0, (), (), ())
    return Machine(
        system=platform.system(),
        uid=os.getuid(),
        free_disk=free_disk(cache_root()),
        listeners=listeners(folders),
        routes=routes(),
        other_nodes=other_nodes(folders),
    )


def free_disk(folder: Path) -> int:
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def routes() -> list[Route]:
    """Our own bridge and fallback routes may be left from before a crash."""
    if not shutil.which("ip"):
        return []
    found = json.loads(run(["ip", "-j", "route", "show"]) or "[]")
    return [
        Route(with_length(route["dst"]), route.get("dev", route.get("type", "")))
        for route in found
        if route["dst"] != "default" and route.get("dev") != BRIDGE and route.get("type") != "unreachable"
    ]


def with_length(destination: str) -> str:
    return destination if "/" in destination else f"{destination}/32"


def processes() -> list[Path]:
    return [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def is_ours(process: Path, folders: Folders) -> bool:
    try:
        return f"{MARK}={folders.state}".encode() in (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def other_nodes(folders: Folders) -> list[str]:
    """Only in our network namespace: a kind cluster lives in its own and is no trouble."""
    here = os.readlink("/proc/self/ns/net")
    found = []
    for process in processes():
        try:
            name = (process / "comm").read_text().strip()
            same = name in NODE_PROGRAMS and os.readlink(process / "ns/net") == here
        except OSError:
            continue
        if same and not is_ours(process, folders):
            found.append(f"{name} (pid {process.name})")
    return found


def listeners(folders: Folders) -> list[Listener]:
    sockets = {}
    for file in ("tcp", "tcp6"):
        table = Path("/proc/net") / file
        if table.exists():
            sockets.update(parse_listeners(table.read_text()))
    owners = socket_owners(set(sockets), folders)
    return [
        Listener(address, port, owners.get(inode, "a process of another user"))
        for inode, (address, port) in sockets.items()
        if owners.get(inode) != ""
    ]


def parse_listeners(table: str) -> dict[str, tuple[str, int]]:
    """inode -> (address, port) from the text of /proc/net/tcp or tcp6; state 0A is LISTEN."""
    rows = [line.split() for line in table.splitlines()[1:]]
    return {row[9]: parse_endpoint(row[1]) for row in rows if row[3] == "0A"}


def parse_endpoint(text: str) -> tuple[str, int]:
    """The kernel prints addresses as 32-bit words in the byte order of the machine."""
    address, port = text.split(":")
    words = [int(address[at : at + 8], 16) for at in range(0, len(address), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, packed), int(port, 16)


def socket_owners(inodes: set[str], folders: Folders) -> dict[str, str]:
    """inode -> who holds it; the empty string for processes of this cluster."""
    owners = {}
    for process in processes():
        try:
            links = [os.readlink(descriptor) for descriptor in (process / "fd").iterdir()]
            name = (process / "comm").read_text().strip()
        except OSError:
            continue
        for inode in inodes & {link[8:-1] for link in links if link.startswith("socket:[")}:
            owners[inode] = "" if is_ours(process, folders) else f"{name}, pid {process.name}"
    return owners
