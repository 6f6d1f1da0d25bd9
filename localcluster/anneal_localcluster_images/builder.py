"""`build`: makes the images whose name is not in the store yet, parents first, independent ones side by side."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from anneal_localcluster.settings import cache_root
from anneal_localcluster.shell import attempt
from anneal_localcluster_images.catalog import BASE, BASE_PACKAGES, BASE_SUITE, IMAGES, RUNNABLE, Image, reference
from anneal_localcluster_images.programs import ROOT, ImageError, ensure_builders, exclusive, find, run, say, tail
from anneal_localcluster_images.store import buildah, folder, references

# More would only share the same cores.
WORKERS = 2
# What must stay free for the cluster's own copy of the images and its volumes.
HEADROOM_GIB = 10
BASE_GIB = 1
CERTIFICATES = Path("/etc/ssl/certs")
# Where the cache of wheels appears inside a build.
WHEELS = "/var/cache/uv"


def build(names: Sequence[str] = RUNNABLE) -> None:
    if os.geteuid():
        raise ImageError("building images needs root: sudo -E make images")
    ensure_builders()
    with exclusive("images"):
        stages = plan(names, references())
        need_room([name for stage in stages for name in stage])
        try:
            with ThreadPoolExecutor(WORKERS) as pool:
                for stage in stages:
                    list(pool.map(build_one, stage))
        except BaseException:
            # A build that was stopped leaves its containers mounted; under the lock they are nobody else's.
            attempt(buildah("rm", "--all"))
            raise
    say("every image is built")


def plan(names: Sequence[str], present: set[str]) -> list[list[str]]:
    """What to build, in stages: all parents of a stage are in the ones before it."""
    depth: dict[str, int] = {}

    def visit(name: str) -> int:
        if name not in depth:
            parents = () if name == BASE else tuple(IMAGES[name].parents.values())
            depth[name] = 1 + max((visit(parent) for parent in parents), default=-1)
        return depth[name]

    for name in names:
        visit(name)
    missing = [name for name in depth if reference(name) not in present]
    stages = [[name for name in missing if depth[name] == level] for level in range(max(depth.values(), default=0) + 1)]
    return [stage for stage in stages if stage]


def need_room(names: Sequence[str]) -> None:
    """Before the first byte: a disk that fills up in the middle leaves a half-made layer behind."""
    if not names:
        return
    place = cache_root()
    needed = HEADROOM_GIB + sum(BASE_GIB if name == BASE else IMAGES[name].gib for name in names)
    free = shutil.disk_usage(place).free // 1024**3
    if free < needed:
        raise ImageError(
            f"{place} has {free} GiB free; building {', '.join(names)} and running them takes {needed} GiB. "
            "Free some, or set ANNEAL_CACHE to a folder on a larger disk")


def build_one(name: str) -> None:
    begin = time.monotonic()
    say(f"{name}: building {reference(name)}")
    if name == BASE:
        build_base()
    else:
        build_from_dockerfile(IMAGES[name])
    say(f"{name}: built in {time.monotonic() - begin:.0f} s")


def build_base() -> None:
    """A Debian of a few packages, from the distribution's own mirror."""
    container = run(buildah("from", "scratch")).strip()
    try:
        root = run(buildah("mount", container)).strip()
        packages = f"--include={','.join(BASE_PACKAGES)}"
        run([find("debootstrap") or "debootstrap", "--variant=minbase", packages, BASE_SUITE, root])
        for waste in ("var/cache/apt/archives", "var/lib/apt/lists", "var/log"):
            empty(Path(root, waste))
        run(buildah("umount", container))
        run(buildah("commit", "--quiet", container, reference(BASE)))
    finally:
        run(buildah("rm", container))


def empty(place: Path) -> None:
    for path in place.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def build_from_dockerfile(image: Image) -> None:
    arguments = {**image.arguments, **{key: reference(parent) for key, parent in image.parents.items()},
                 "UV_CACHE_DIR": WHEELS}
    wheels, scratch = cache_root() / "uv", folder() / "tmp"
    for path in (wheels, scratch):
        path.mkdir(parents=True, exist_ok=True)
    argv = buildah(
        "bud", "--isolation", "chroot", "--layers", "--pull-never", "--file", str(ROOT / image.dockerfile),
        "--tag", reference(image.name), "--volume", f"{wheels}:{WHEELS}",
        *([f"--volume={CERTIFICATES}:{CERTIFICATES}:ro"] if CERTIFICATES.is_dir() else []),
        *(f"--build-arg={key}={value}" for key, value in arguments.items()), str(ROOT))
    # Layers pass through TMPDIR while they are committed; /tmp may be small or in memory.
    follow(image.name, argv, {**os.environ, "TMPDIR": str(scratch)})


def follow(name: str, argv: Sequence[str], environment: dict[str, str]) -> None:
    """Run a build and show its steps; everything it said is in the error when it fails."""
    lines: list[str] = []
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            lines.append(line)
            if "STEP" in line and " RUN " in line:
                say(f"{name}: {line.strip()[:110]}")
    if child.returncode:
        raise ImageError(f"building {name} ended with {child.returncode}; its last words:\n{tail(''.join(lines))}")


def push(registry: str) -> None:
    """For a cluster of one's own: to a registry that it pulls from."""
    host = registry.split("/", 1)[0].rsplit(":", 1)[0]
    insecure = ["--tls-verify=false"] if host in ("localhost", "127.0.0.1") else []
    for name in RUNNABLE:
        say(f"pushing {reference(name, registry)}")
        run(buildah("push", *insecure, reference(name), f"docker://{reference(name, registry)}"))
