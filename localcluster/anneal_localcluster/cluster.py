"""`up`: from whatever the machine looks like to a Ready node. Every step may have been done before."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from anneal_localcluster import build, checks, components, images, network, packages, setup
from anneal_localcluster.components import Site
from anneal_localcluster.errors import ClusterError
from anneal_localcluster.processes import Command, check_alive, recorded, start_detached
from anneal_localcluster.readiness import (
    accounts_ready,
    allocatable,
    answers_ok,
    api_answers,
    kubectl,
    node_ready,
    wait_for,
)
from anneal_localcluster.settings import NODE_NAME, STATE_VERSION, Folders, Network, Options, Ports
from anneal_localcluster.shell import Progress, attempt, say

TIMEOUT = 120.0
GPU = "nvidia.com/gpu"


def up(folders: Folders, options: Options) -> Site:
    progress = Progress()
    refuse_older_state(folders)
    refuse_changed_options(folders, options)
    first_time = not build.node_binary().exists()
    prepare_machine(folders, options, checks.DISK_FIRST_TIME if first_time else checks.DISK_LATER)
    progress.step("machine checked")
    site = node_site(folders, options.network, build.ensure_node_binary())
    progress.step(f"binary {site.binary}")
    write_files(site, options)
    start_control_plane(site)
    progress.step(f"control plane answers at {site.api_url}")
    start_runtime(site)
    progress.step("containerd answers")
    start_node(site, options)
    progress.step(f"node {NODE_NAME} is Ready")
    say(f"cluster is up after {progress.total:.0f} s: export KUBECONFIG={folders.kubeconfig}")
    return site


def node_site(folders: Folders, addresses: Network, binary: Path) -> Site:
    return Site(binary, folders, addresses, Ports(), api_address=addresses.bridge_address)


def refuse_older_state(folders: Folders) -> None:
    if folders.state.exists() and any(folders.state.iterdir()):
        found = folders.version.read_text() if folders.version.exists() else "unknown"
        if found != STATE_VERSION:
            raise ClusterError(
                f"{folders.state} holds a cluster of another version ({found}; this one is {STATE_VERSION})",
                "remove it with `make cluster-down`, then try again; images in the cache are kept",
            )


def refuse_changed_options(folders: Folders, options: Options) -> None:
    kept = stored_options(folders)
    if kept is not None and kept != options:
        raise ClusterError(
            f"a cluster exists here with other options: it has {kept}, asked for is {options}",
            "use the same options, or remove it first with `make cluster-down`",
        )


def stored_options(folders: Folders) -> Options | None:
    file = folders.state / "options.json"
    if not file.exists():
        return None
    kept = json.loads(file.read_text())
    return Options(**{**kept, "network": Network(**kept["network"])})


def prepare_machine(folders: Folders, options: Options, disk: int) -> None:
    checks.judge(checks.gather(folders), options.network, Ports(), disk)
    packages.install_missing()


def write_files(site: Site, options: Options) -> None:
    site.folders.state.mkdir(parents=True, exist_ok=True)
    kernel = site.folders.state / "kernel.json"
    if not kernel.exists():
        kernel.write_text(json.dumps(network.kernel_settings()))
    network.create(site.network)
    setup.write_control_plane(site)
    plugins = packages.cni_folder()
    assert plugins is not None
    setup.write_node(site, plugins, options.cpus)
    (site.folders.state / "options.json").write_text(json.dumps(asdict(options)))


def start_control_plane(site: Site) -> None:
    ensure_running(site, components.api(site))
    await_ready(site, "the API server", lambda: api_answers(site, "/readyz"))
    ensure_running(site, components.controllers(site))


def start_runtime(site: Site) -> None:
    command = components.containerd(site, packages.program("containerd"))
    ensure_running(site, [command])
    await_ready(site, "containerd", lambda: containerd_answers(site))
    images.ensure_sandbox(site.folders)


def containerd_answers(site: Site) -> bool:
    ctr = packages.program("ctr")
    return attempt([ctr, "--address", str(site.folders.containerd_socket), "version"]).returncode == 0


def start_node(site: Site, options: Options) -> None:
    ensure_running(site, components.node(site, options.fake_gpus))
    kubectl(site, "apply", "-f", str(site.folders.config / "storage-class.json"))
    await_ready(site, "the default service account", lambda: accounts_ready(site))
    await_ready(site, "cluster DNS", lambda: answers_ok(site.ports.dns_ready, "/ready"))
    await_ready(site, "kube-proxy", lambda: answers_ok(site.ports.proxy_health, "/healthz"))
    await_ready(site, "the node", lambda: node_ready(site, NODE_NAME))
    if options.fake_gpus:
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
    refuse_older_state(site.folders)
    setup.write_control_plane(site)
    start_control_plane(site)
    await_ready(site, "the default service account", lambda: accounts_ready(site))
    say(f"control plane is up: export KUBECONFIG={site.folders.kubeconfig}")
