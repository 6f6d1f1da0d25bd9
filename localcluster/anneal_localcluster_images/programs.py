"""The programs that build images: found, or installed where we may."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from anneal_localcluster import apt
from anneal_localcluster.settings import cache_root

ROOT = Path(__file__).resolve().parents[2]
UV = "uv==0.13.9"
PACKAGES = {"buildah": "buildah", "debootstrap": "debootstrap", "containers-storage": "containers-storage"}
TAIL_LINES = 30


class ImageError(Exception):
    """What failed and what to do, for a person."""


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def run(argv: Sequence[str], *, cwd: Path | None = None, environment: Mapping[str, str] | None = None) -> str:
    """The program's stdout. Its own words are in the error when it fails."""
    done = subprocess.run(
        argv, cwd=cwd, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ImageError(f"`{' '.join(argv)[:300]}` ended with {done.returncode}: {tail(done.stderr or done.stdout)}")
    return done.stdout


def tail(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-TAIL_LINES:])


@contextmanager
def exclusive(name: str) -> Iterator[None]:
    """One build at a time on this machine: two of them would only make each other slow."""
    path = cache_root() / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def uv() -> str:
    """uv resolves and installs much faster than pip, and is itself a package from the same index."""
    if found := shutil.which("uv"):
        return found
    folder = cache_root() / UV.replace("==", "-")
    program = folder / "bin" / "uv"
    if not program.exists():
        venv.create(folder, with_pip=True, clear=True)
        run([str(folder / "bin" / "pip"), "install", "--quiet", UV])
    return str(program)


def ensure_builders() -> None:
    """buildah and debootstrap from apt; elsewhere the error names them."""
    missing = sorted(package for program, package in PACKAGES.items() if not find(program))
    if not missing:
        return
    if os.geteuid() or not apt.available():
        raise ImageError(f"building images needs {' and '.join(missing)} (and root); install them and run again")
    apt.install(missing)


def find(program: str) -> str | None:
    """Debian keeps some programs in sbin, which a user's PATH may lack."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
