"""Programs that come from the distribution."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from anneal_localcluster import apt
from anneal_localcluster.errors import ClusterError
from anneal_localcluster.shell import complete

CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"), Path("/usr/libexec/cni"))
CNI_PLUGINS = ("bridge", "host-local", "loopback", "portmap")
# program -> Debian package
PROGRAMS: Mapping[str, str] = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "ip": "iproute2",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "mount": "mount",
}


def find(name: str) -> str | None:
    return shutil.which(name, path=complete({})["PATH"])


def program(name: str) -> str:
    found = find(name)
    if found is None:
        raise ClusterError(f"the program `{name}` is missing", f"install the package {PROGRAMS.get(name, name)}")
    return found


def cni_folder() -> Path:
    """The first that has all plugins; where none does, the one that the package will fill."""
    return next((folder for folder in CNI_FOLDERS if has_plugins(folder)), CNI_FOLDERS[0])


def has_plugins(folder: Path) -> bool:
    return all((folder / plugin).exists() for plugin in CNI_PLUGINS)


def missing_packages() -> list[str]:
    names = {package for name, package in PROGRAMS.items() if find(name) is None}
    if not has_plugins(cni_folder()):
        names.add("containernetworking-plugins")
    return sorted(names)


def install_missing() -> None:
    missing = missing_packages()
    if not missing:
        return
    if not apt.available():
        raise ClusterError(
            f"programs of these (Debian-named) packages are missing: {', '.join(missing)}",
            f"install them with your package manager; network plugins are looked for in "
            f"{', '.join(map(str, CNI_FOLDERS))}",
        )
    apt.install(missing)
    still = missing_packages()
    if still:
        raise ClusterError(f"apt installed them, and still missing: {', '.join(still)}", "install them by hand")
