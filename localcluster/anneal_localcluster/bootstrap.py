"""The files a cluster needs before its first process starts."""

from __future__ import annotations

import os
from pathlib import Path

from anneal_localcluster import configs
from anneal_localcluster.components import Site
from anneal_localcluster.settings import CLUSTER_DOMAIN, NODE_NAME, STATE_VERSION
from anneal_localcluster.shell import run

USERS = ("admin", "controller-manager", "scheduler", "kubelet", "proxy")
SYSTEMD_UPSTREAMS = Path("/run/systemd/resolve/resolv.conf")


def write_control_plane(site: Site) -> None:
    site.folders.state.mkdir(parents=True, exist_ok=True)
    site.folders.config.mkdir(exist_ok=True)
    # Keys and the admin's kubeconfig lie below, volumes of pods too: other users get through, not in.
    site.folders.state.chmod(0o711)
    if not (site.folders.pki / "service-account.pub").exists():
        write_pki(site)
    for user in USERS:
        write_private(Path(site.kubeconfig(user)), kubeconfig_of(site, user))
    write_private(site.folders.kubeconfig, kubeconfig_of(site, "admin"))
    if not site.folders.binary.is_symlink():
        site.folders.binary.symlink_to(site.binary)
    site.folders.version.write_text(state_version(site.binary))


def state_version(binary: Path) -> str:
    """The folder of the binary has the hash of its sources in its name."""
    return f"{STATE_VERSION}-{binary.parent.name}"


def write_pki(site: Site) -> None:
    site.folders.pki.mkdir(mode=0o700, exist_ok=True)
    services = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    names = [*services, f"{services[-1]}.{CLUSTER_DOMAIN}", "localhost"]
    addresses = ["127.0.0.1", site.api_address, site.network.api_service]
    hosts = ",".join([*names, *addresses])
    run([str(site.binary), "pki", f"--dir={site.folders.pki}", f"--addresses={hosts}", f"--node={NODE_NAME}"])


def kubeconfig_of(site: Site, user: str) -> str:
    parts = [site.certificate("ca"), site.certificate(user), site.key(user)]
    return configs.kubeconfig(site, *(Path(part).read_bytes() for part in parts))


def write_node(site: Site, cni_plugins: Path, cpus: int | None) -> list[str]:
    """The parts whose configuration is not what they were started with."""
    folder = site.folders.config
    (folder / "cni").mkdir(exist_ok=True)
    site.folders.volumes.mkdir(mode=0o711, exist_ok=True)
    site.folders.run.mkdir(mode=0o711, exist_ok=True)
    write_changed(folder / "cni" / "10-anneal.conflist", configs.cni(site))
    write_changed(folder / "storage-class.json", configs.storage_class())
    files = {
        "containerd": ("containerd.toml", configs.containerd(site, str(cni_plugins))),
        "kubelet": ("kubelet.yaml", configs.kubelet(site, cpus_kept_from_pods(cpus))),
        "kube-proxy": ("kube-proxy.yaml", configs.proxy(site)),
        "coredns": ("Corefile", configs.corefile(site, nameservers(resolv_conf().read_text()))),
    }
    return [part for part, (name, text) in files.items() if write_changed(folder / name, text)]


def write_changed(path: Path, text: str) -> bool:
    """kube-proxy ends when its file is written, even with the same text."""
    if path.exists() and path.read_text() == text:
        return False
    path.write_text(text)
    return True


def cpus_kept_from_pods(cpus: int | None) -> int:
    return 0 if cpus is None else max((os.cpu_count() or 1) - cpus, 0)


def resolv_conf() -> Path:
    """systemd's stub answers only on loopback; behind it stands the list of real servers."""
    return SYSTEMD_UPSTREAMS if SYSTEMD_UPSTREAMS.exists() else Path("/etc/resolv.conf")


def nameservers(resolv_conf: str) -> list[str]:
    lines = [line.split() for line in resolv_conf.splitlines()]
    return [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]


def write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
