"""`up`: from whatever the machine looks like to a Ready node. Every step may have been done before."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from anneal_localcluster import bootstrap, build, checks, components, facts, images, network, packages
from anneal_localcluster import options as choices
from anneal_localcluster.components import Site
from anneal_localcluster.errors import ClusterError
from anneal_localcluster.options import Options, Wishes
from anneal_localcluster.processes import Command, check_alive, forget_ended, recorded, start_detached, stop
from anneal_localcluster.readiness import (
    accounts_ready,
    allocatable,
    answers,
    api_ready,
    kubectl,
    node_ready,
    wait_for,
)
from anneal_localcluster.settings import NODE_NAME, Folders, Network, Ports
from anneal_localcluster.shell import Progress, attempt, exclusive, say

TIMEOUT = 120.0
GPU = "nvidia.com/gpu"


def up(folders: Folders, wishes: Wishes) -> None:
    progress = Progress()
    checks.judge_system(facts.gather(folders))
    with exclusive("cluster"):
        refuse_other_version(folders)
        options = choices.merge(wishes, choices.stored(folders))
        prepare_machine(folders, options)
        progress.step("machine checked")
        site = node_site(folders, options.network, build.ensure_node_binary())
        progress.step(f"Kubernetes built: {site.binary}")
        changed = start(site, options, progress)
    state = f"is up after {progress.total:.0f} s" if changed else "was up already"
    say(f"cluster {state}: export KUBECONFIG={folders.kubeconfig}")


def start(site: Site, options: Options, progress: Progress) -> bool:
    """Whether anything had to be started."""
    forget_ended(site.folders.pids)
    before = recorded(site.folders.pids)
    write_files(site, options)
    start_control_plane(site)
    progress.step(f"control plane answers at {site.api_url}")
    start_runtime(site)
    progress.step("containerd answers")
    start_node(site, options)
    progress.step(f"node {NODE_NAME} is Ready")
    return recorded(site.folders.pids) != before


def node_site(folders: Folders, addresses: Network, binary: Path) -> Site:
    return Site(binary, folders, addresses, Ports(), api_address=addresses.bridge_address)


def refuse_other_version(folders: Folders) -> None:
    if not folders.state.exists() or not any(folders.state.iterdir()):
        return
    found = folders.version.read_text() if folders.version.exists() else "unknown"
    wanted = bootstrap.state_version(build.node_binary())
    if found != wanted:
        raise ClusterError(
            f"{folders.state} holds a cluster of another version ({found}; this one is {wanted})",
            "remove it with `make cluster-down`, then try again; images in the cache are kept",
        )


def prepare_machine(folders: Folders, options: Options) -> None:
    disk = checks.DISK_LATER if build.node_binary().exists() else checks.DISK_FIRST_TIME
    checks.judge(facts.gather(folders), options.network, Ports(), disk)
    packages.install_missing()


def write_files(site: Site, options: Options) -> None:
    folders = site.folders
    folders.state.mkdir(parents=True, exist_ok=True)
    kernel = folders.state / "kernel.json"
    if not kernel.exists():
        kernel.write_text(json.dumps(network.kernel_settings()))
    network.create(site.network)
    bootstrap.write_control_plane(site)
    stale = bootstrap.write_node(site, packages.cni_folder(), options.cpus)
    if choices.stored(folders) not in (None, options):
        stale.append("fake-gpus")
    stop_parts(folders, stale)
    choices.store(folders, options)


def stop_parts(folders: Folders, names: Sequence[str]) -> None:
    """They start again with what has changed."""
    stop([running for name, running in recorded(folders.pids).items() if name in names])
    for name in names:
        (folders.pids / f"{name}.json").unlink(missing_ok=True)


def start_control_plane(site: Site) -> None:
    ensure_running(site, components.api(site))
    await_ready(site, "the API server", lambda: api_ready(site))
    ensure_running(site, components.controllers(site))


def start_runtime(site: Site) -> None:
    command = components.containerd(site, packages.program("containerd"))
    ensure_running(site, [command])
    await_ready(site, "containerd", lambda: runtime_ready(site))
    images.ensure_sandbox(site.folders)


def runtime_ready(site: Site) -> bool:
    """containerd answers `ctr` before its CRI does; a kubelet that starts in between ends at once."""
    return attempt(components.ask_runtime(site, "cri-ready")).returncode == 0


def start_node(site: Site, options: Options) -> None:
    ensure_running(site, components.node(site, options.fake_gpus))
    kubectl(site, "apply", "-f", str(site.folders.config / "storage-class.json"))
    await_ready(site, "the default service account", lambda: accounts_ready(site))
    await_ready(site, "cluster DNS", lambda: answers(site.ports.dns_ready, "/ready"))
    await_ready(site, "kube-proxy", lambda: answers(site.ports.proxy_health, "/healthz"))
    await_ready(site, "the node", lambda: node_ready(site, NODE_NAME))
    wanted = str(options.fake_gpus)
    await_ready(site, "the fake GPUs", lambda: allocatable(site, NODE_NAME, GPU) == wanted)


def ensure_running(site: Site, commands: Sequence[Command]) -> None:
    running = recorded(site.folders.pids)
    for command in commands:
        if command.name not in running:
            start_detached(command, site.folders.logs, site.folders.pids)


def await_ready(site: Site, what: str, ready: Callable[[], bool]) -> None:
    wait_for(what, ready, TIMEOUT, lambda: check_alive(site.folders.pids, site.folders.logs))


def up_control_plane(site: Site) -> None:
    """Detached, unlike `ControlPlane`: it stays until `down --state-dir`."""
    if recorded(site.folders.pids):
        raise ClusterError(f"a control plane runs in {site.folders.state}", "stop it first: down --state-dir")
    refuse_other_version(site.folders)
    forget_ended(site.folders.pids)
    bootstrap.write_control_plane(site)
    start_control_plane(site)
    await_ready(site, "the default service account", lambda: accounts_ready(site))
    say(f"control plane is up: export KUBECONFIG={site.folders.kubeconfig}")
