"""What the machine is like, read from the kernel."""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import struct
from pathlib import Path

from anneal_localcluster.checks import Listener, Machine, Route
from anneal_localcluster.settings import BRIDGE, MARK, Folders, cache_root
from anneal_localcluster.shell import attempt

NODE_PROGRAMS = frozenset({"kubelet", "k3s", "k3s-server", "k0s", "kubelite", "rke2"})
CGROUPS = Path("/sys/fs/cgroup")


def gather(folders: Folders) -> Machine:
    if platform.system() != "Linux":
        return Machine(platform.system(), os.getuid(), 0, (), (), (), frozenset())
    return Machine(
        system=platform.system(),
        uid=os.getuid(),
        free_disk=min(free_disk(cache_root()), free_disk(folders.state)),
        listeners=listeners(folders),
        routes=routes(),
        other_nodes=other_nodes(folders),
        controllers=cgroup_controllers(),
    )


def cgroup_controllers() -> frozenset[str]:
    """cgroup v2 lists them in a file; with v1 each is a folder."""
    unified = CGROUPS / "cgroup.controllers"
    if unified.exists():
        return frozenset(unified.read_text().split())
    return frozenset(folder.name for folder in CGROUPS.iterdir())


def free_disk(folder: Path) -> int:
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def routes() -> list[Route]:
    """Without our own bridge and fallback routes: they may be left from before a crash."""
    found = json.loads(attempt(["ip", "-j", "route", "show"]).stdout or "[]")
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
