"""`load`: gives images to containerd through a pipe, without the layers that it already has.

An OCI archive is written straight into `ctr images import`. Layers that containerd has unpacked are left out of it, and
large ones are dropped from its content store once unpacked: a copy of torch is kept twice, not four times.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
import time
from collections.abc import Iterable, Sequence
from typing import IO, Any

from anneal_localcluster.errors import ClusterError
from anneal_localcluster.packages import program
from anneal_localcluster.settings import Folders
from anneal_localcluster_images.programs import ImageError, run, say, tail
from anneal_localcluster_images.store import Layer, StoredImage, image, layer_stream, references

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
LARGE = 64 * 1024**2


def ctr(*arguments: str) -> list[str]:
    socket = Folders().containerd_socket
    if not socket.exists():
        raise ImageError(f"no containerd of the local cluster at {socket}; start the cluster: make cluster-up")
    try:
        return [program("ctr"), "--address", str(socket), "--namespace", "k8s.io", *arguments]
    except ClusterError as error:
        raise ImageError(str(error)) from error


def load(wanted: Sequence[str]) -> None:
    there = set(run(ctr("images", "list", "--quiet")).split())
    if missing := sorted(set(wanted) - there - references()):
        raise ImageError(f"not built yet: {', '.join(missing)}; run: python3 -m anneal_localcluster_images build")
    for reference in wanted:
        if reference in there:
            say(f"{reference} is in the cluster already")
        else:
            hand_over(image(reference))


def hand_over(built: StoredImage) -> None:
    begin = time.monotonic()
    unpacked = snapshots()
    new = [layer for layer, chain in zip(built.layers, chain_ids(built.layers), strict=True) if chain not in unpacked]
    feed(built, new)
    drop([layer.digest for layer in new if layer.size > LARGE])
    size = sum(layer.size for layer in new) / 1e9
    seconds = time.monotonic() - begin
    say(f"{built.reference}: {len(new)} new of {len(built.layers)} layers, {size:.1f} GB, {seconds:.0f} s")


def snapshots() -> set[str]:
    """Chain ids of the layers that containerd has unpacked."""
    lines = run(ctr("snapshots", "list")).splitlines()[1:]
    return {line.split()[0] for line in lines if line.split()[-1] == "Committed"}


def chain_ids(layers: Iterable[Layer]) -> list[str]:
    """A layer's place in its stack: sha256 of the parent's chain id and its own diff id."""
    chain: list[str] = []
    for layer in layers:
        text = f"{chain[-1]} {layer.digest}" if chain else ""
        chain.append(f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" if chain else layer.digest)
    return chain


def feed(built: StoredImage, new: Sequence[Layer]) -> None:
    """One import is one lease of containerd: nothing of it is collected before the image is complete."""
    with subprocess.Popen(ctr("images", "import", "-"), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stderr is not None
        try:
            write_archive(child.stdin, built, new)
            child.stdin.close()
        except BrokenPipeError:
            # containerd gave up; its own words follow.
            pass
        words = child.stderr.read().decode(errors="replace")
    if child.returncode:
        raise ImageError(f"containerd refused {built.reference}: {tail(words)}")


def write_archive(sink: IO[bytes], built: StoredImage, new: Sequence[Layer]) -> None:
    with tarfile.open(fileobj=sink, mode="w|", bufsize=1 << 20) as archive:
        add(archive, "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())
        add(archive, "index.json", json.dumps(index(built)).encode())
        add(archive, blob(digest(built.manifest)), built.manifest)
        add(archive, blob(digest(built.config)), built.config)
        for layer in new:
            with layer_stream(layer) as stream:
                archive.addfile(entry(blob(layer.digest), layer.size), stream)


def index(built: StoredImage) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": INDEX_TYPE,
        "manifests": [{
            "mediaType": json.loads(built.manifest)["mediaType"],
            "digest": digest(built.manifest),
            "size": len(built.manifest),
            "annotations": {"io.containerd.image.name": built.reference},
        }],
    }


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    archive.addfile(entry(name, len(content)), io.BytesIO(content))


def entry(name: str, size: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size = size
    return header


def blob(name: str) -> str:
    return f"blobs/{name.replace(':', '/')}"


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def drop(digests: Sequence[str]) -> None:
    """The unpacked snapshots are what runs; the packed bytes would only be needed to push them elsewhere."""
    if digests:
        run(ctr("content", "delete", *digests))
