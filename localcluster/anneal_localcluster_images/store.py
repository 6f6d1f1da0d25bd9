"""The image store of the builds: where it lies, what is in it, and its layers as streams of bytes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from anneal_localcluster.settings import cache_root
from anneal_localcluster.shell import attempt
from anneal_localcluster_images.programs import ImageError, run

MANIFEST = "manifest"


@dataclass(frozen=True)
class Layer:
    digest: str
    size: int
    identity: str
    """Its name in the store."""


@dataclass(frozen=True)
class StoredImage:
    reference: str
    manifest: bytes
    config: bytes
    layers: tuple[Layer, ...]
    """From the base upwards. Not compressed, so a layer's digest is also its diff id."""


def folder() -> Path:
    return cache_root() / "images"


def location() -> list[str]:
    return ["--root", str(folder() / "storage"), "--runroot", "/run/anneal-images", "--storage-driver", "overlay"]


def buildah(*arguments: str) -> list[str]:
    return ["buildah", *location(), *arguments]


def storage(*arguments: str) -> list[str]:
    place = ["--graph", str(folder() / "storage"), "--run", "/run/anneal-images", "--storage-driver", "overlay"]
    return ["containers-storage", *place, *arguments]


def release() -> None:
    """Take away the mount that containers-storage leaves: it binds its folder onto itself and keeps it so.

    Where it is busy, another build goes on, and takes it away at its own end.
    """
    attempt(["umount", str(folder() / "storage" / "overlay")])


def references() -> set[str]:
    """Every image in the store; the empty set when nothing was ever built here."""
    if not (folder() / "storage").exists():
        return set()
    return {name for image in json.loads(run(buildah("images", "--json", "--no-trunc")) or "[]")
            for name in image.get("names") or []}


def image(reference: str) -> StoredImage:
    manifest = run(storage("get-image-data", reference, MANIFEST)).encode()
    document = json.loads(manifest)
    known = layers_by_digest()
    digests = [entry["digest"] for entry in document["layers"]]
    if lost := [digest for digest in digests if digest not in known]:
        raise ImageError(f"{reference} lacks its layer {lost[0]} in {folder()}; remove that folder and build again")
    config = run(storage("get-image-data", reference, document["config"]["digest"])).encode()
    return StoredImage(reference, manifest, config, tuple(known[digest] for digest in digests))


def layers_by_digest() -> dict[str, Layer]:
    entries = json.loads((folder() / "storage" / "overlay-layers" / "layers.json").read_text())
    return {entry["diff-digest"]: Layer(entry["diff-digest"], entry["diff-size"], entry["id"])
            for entry in entries if "diff-digest" in entry}


@contextmanager
def layer_stream(layer: Layer) -> Iterator[IO[bytes]]:
    """The layer's tar, byte for byte as it was committed; made while it is read, so nothing lies on the disk."""
    with subprocess.Popen(storage("diff", "-u", layer.identity), stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        yield child.stdout
    if child.returncode:
        raise ImageError(f"reading layer {layer.digest} from {folder()} ended with {child.returncode}")
