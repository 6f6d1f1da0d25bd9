"""`down`: nothing stays but the cache, whatever state a crash or a reboot left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterable
from pathlib import Path

from anneal_localcluster import cluster, components, configs, network, options
from anneal_localcluster.errors import ClusterError
from anneal_localcluster.facts import CGROUPS
from anneal_localcluster.options import Options
from anneal_localcluster.processes import Running, forget_ended, marked, recorded, start_time, stop
from anneal_localcluster.settings import MARK, Folders
from anneal_localcluster.shell import Progress, attempt, say

# The kubelet and the CNI library have these names built in; they are removed when nothing else is inside.
SHARED_FOLDERS = (
    Path("/var/lib/kubelet/device-plugins"),
    Path("/var/lib/kubelet"),
    Path("/var/log/containers"),
    Path("/var/log/pods"),
    Path("/var/lib/cni/results"),
    Path("/var/lib/cni/cache"),
    Path("/var/lib/cni"),
)
# For what has its data thrown away anyway: the API server takes 10 s and more for a polite end.
HARD = signal.SIGKILL


def down(folders: Folders) -> None:
    if not traces(folders):
        say("no cluster: nothing to remove")
        return
    progress = Progress()
    has_node = folders.state == Folders().state
    if has_node and os.getuid() != 0:
        raise ClusterError("not root: a node cannot be removed without it", "run the same command with sudo")
    if not has_node and not folders.version.exists():
        raise ClusterError(f"{folders.state} does not look like a control plane of ours", "check --state-dir")
    if has_node:
        remove_pods(folders)
        progress.step("pods removed")
    # With a node, containerd is left: it has a database in the cache to close.
    stop(marked(MARK, str(folders.state)), first=signal.SIGTERM if has_node else HARD)
    progress.step("processes stopped")
    if has_node:
        remove_node(folders)
    remove_tree(folders.run)
    remove_tree(folders.state)
    progress.step("mounts, network and files removed")


def traces(folders: Folders) -> list[str]:
    """What of a cluster is still on the machine: empty after `down`."""
    found = [str(folder) for folder in (folders.state, folders.run) if folder.exists()]
    found += [f"process {running.pid}" for running in marked(MARK, str(folders.state))]
    if folders.state == Folders().state:
        found += [f"mount {path}" for path in mounts_below([folders.state, folders.run, folders.containerd_root])]
        found += network.traces()
        found += [str(path) for path in pod_cgroups()]
    return found


def remove_pods(folders: Folders) -> None:
    """Politely through containerd, so that its database in the cache keeps no dead containers."""
    everything_else = [running for name, running in recorded(folders.pids).items() if name != "containerd"]
    stop(everything_else, first=HARD)
    forget_ended(folders.pids)
    kept = options.stored(folders)
    if kept is None or not (folders.config / "containerd.toml").exists() or not folders.binary.exists():
        return
    folders.run.mkdir(parents=True, exist_ok=True)
    site = cluster.node_site(folders, kept.network, folders.binary)
    try:
        cluster.start_runtime(site)
    except ClusterError as error:
        say(f"  containerd does not start, so its leftovers are removed by force: {error.what}")
        return
    done = attempt(components.ask_runtime(site, "purge-pods"))
    if done.returncode:
        say(f"  some pods did not end by themselves: {done.stderr.strip()}")


def remove_node(folders: Folders) -> None:
    kill_pods()
    for path in mounts_below([folders.state, folders.run, folders.containerd_root]):
        attempt(["umount", "--lazy", path])
    network.remove((options.stored(folders) or Options()).network)
    restore_kernel_settings(folders)
    remove_cgroups()
    remove_shared_folders(folders)


def restore_kernel_settings(folders: Folders) -> None:
    saved = folders.state / "kernel.json"
    if saved.exists():
        for name, value in json.loads(saved.read_text()).items():
            network.write_kernel_setting(name, value)


def mounts_below(folders: Iterable[Path]) -> list[str]:
    """Deepest first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    roots = tuple(f"{folder}/" for folder in folders)
    return sorted((point for point in points if point.startswith(roots)), key=len, reverse=True)


def pod_cgroups() -> list[Path]:
    """`kubepods` of every hierarchy: one with cgroup v2, one for each controller with v1."""
    return [path for path in [CGROUPS / "kubepods", *CGROUPS.glob("*/kubepods")] if path.is_dir()]


def kill_pods() -> None:
    pids = {int(pid) for top in pod_cgroups() for file in top.rglob("cgroup.procs") for pid in file.read_text().split()}
    found = [Running(pid, started) for pid in pids if (started := start_time(pid)) is not None]
    stop(found, grace=5, first=signal.SIGKILL)


def remove_cgroups() -> None:
    for top in pod_cgroups():
        for folder in [*sorted(top.rglob("*/"), key=lambda path: len(path.parts), reverse=True), top]:
            if folder.is_dir():
                folder.rmdir()


def remove_shared_folders(folders: Folders) -> None:
    for link in Path("/var/log/containers").glob("*.log"):
        if link.is_symlink() and link.readlink().is_relative_to(folders.state):
            link.unlink()
    remove_network_results(Path("/var/lib/cni/results"))
    for name in ("kubelet.sock", "anneal-fake-gpus.sock", "kubelet_internal_checkpoint", "DEPRECATION"):
        (SHARED_FOLDERS[0] / name).unlink(missing_ok=True)
    for folder in SHARED_FOLDERS:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def remove_network_results(results: Path) -> None:
    """Named NETWORK-CONTAINER-INTERFACE; the loopback of our containers is in a network of another name."""
    for ours in results.glob(f"{configs.CNI_NETWORK}-*"):
        container = ours.name.removeprefix(f"{configs.CNI_NETWORK}-").split("-")[0]
        for result in results.glob(f"*-{container}-*"):
            result.unlink(missing_ok=True)


def remove_tree(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
