"""Images without a registry: the sandbox image is written here, others are imported from archives."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anneal_localcluster import build
from anneal_localcluster.errors import ClusterError
from anneal_localcluster.packages import program
from anneal_localcluster.settings import SANDBOX_IMAGE, Folders, cache_root
from anneal_localcluster.shell import run

STANDARD_INPUT = Path("-")


def ctr(folders: Folders, *arguments: str) -> str:
    return run([program("ctr"), "--address", str(folders.containerd_socket), "--namespace", "k8s.io", *arguments])


def load(folders: Folders, archive: Path) -> list[str]:
    """containerd reads the archive where it lies, or `-` from our standard input: no second copy is made."""
    if archive != STANDARD_INPUT and not archive.exists():
        raise ClusterError(f"no such image archive: {archive}")
    output = ctr(folders, "images", "import", str(archive))
    return [line.split()[1] for line in output.splitlines() if line.startswith("unpacking")]


def names(folders: Folders) -> list[str]:
    return ctr(folders, "images", "list", "--quiet").split()


def ensure_sandbox(folders: Folders) -> None:
    if SANDBOX_IMAGE in names(folders):
        return
    archive = cache_root() / "pause.tar"
    archive.write_bytes(scratch_image(SANDBOX_IMAGE, "pause", pause_binary().read_bytes()))
    try:
        load(folders, archive)
    finally:
        archive.unlink()
    # Pinned: the kubelet must not collect the one image that nothing can pull again.
    ctr(folders, "images", "label", SANDBOX_IMAGE, "io.cri-containerd.pinned=pinned")


def pause_binary() -> Path:
    target = build.node_binary().parent / "pause"
    if not target.exists():
        build.compile_go(build.ensure_go(), ["-ldflags=-s -w", f"-o={target}", "./pause"])
    return target


def scratch_image(name: str, entrypoint: str, binary: bytes) -> bytes:
    """A docker-archive with one layer that holds one static program."""
    layer = tar({entrypoint: binary}, mode=0o755)
    config = as_json(
        {
            "architecture": machine_architecture(),
            "os": "linux",
            "config": {"Entrypoint": [f"/{entrypoint}"], "User": "65535:65535"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }
    )
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = as_json([{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}])
    return tar({config_name: config, "layer.tar": layer, "manifest.json": manifest}, mode=0o644)


def tar(files: Mapping[str, bytes], mode: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def as_json(document: Any) -> bytes:
    return json.dumps(document).encode()


def machine_architecture() -> str:
    return run([build.ensure_go(), "env", "GOARCH"]).strip()
