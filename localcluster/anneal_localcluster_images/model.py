"""`model DIR`: the demo's model on the host, out of the seed image; for tests that run without pods."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from anneal_localcluster_images.builder import build
from anneal_localcluster_images.catalog import reference
from anneal_localcluster_images.programs import run, say
from anneal_localcluster_images.store import buildah

MODELS = "seed/models"


def extract(target: Path) -> None:
    if target.exists():
        say(f"{target} is there already")
        return
    build(["seed"])
    container = run(buildah("from", "--pull-never", reference("seed"))).strip()
    try:
        root = run(buildah("mount", container)).strip()
        copy(Path(root, MODELS, target.name), target)
        run(buildah("umount", container))
    finally:
        run(buildah("rm", container))


def copy(source: Path, target: Path) -> None:
    """Complete or not at all: a reader never sees half a model."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        shutil.copytree(source, Path(scratch, target.name))
        Path(scratch, target.name).rename(target)
