"""Which images there are, what each is made from, and its name: the tag is a hash of everything that goes into it."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from anneal_localcluster_images.programs import ROOT

PREFIX = "localhost/anneal"
BASE = "base"
# The same system as the Dockerfiles' public default: Debian bookworm, whose Python is 3.11.
BASE_SUITE = "bookworm"
BASE_PACKAGES = ("python3", "python3-venv", "ca-certificates", "libgomp1")
INSTALL = "requirements/install.sh"
API = "operator/anneal_api"


@dataclass(frozen=True)
class Image:
    """One image. `parents` maps a build argument to the image it names."""

    name: str
    dockerfile: str
    inputs: tuple[str, ...]
    parents: Mapping[str, str]
    gib: int
    """Room that a first build takes, the wheels that are kept for the next one included."""
    arguments: Mapping[str, str] = field(default_factory=dict)


IMAGES = {image.name: image for image in (
    Image("torch", "trainer_image/torch.Dockerfile", (INSTALL, "requirements/torch.txt"), {"BASE_IMAGE": BASE}, gib=11),
    Image("operator", "operator/Dockerfile", (INSTALL, "requirements/operator.txt", API, "operator/anneal_operator"),
          {"BASE_IMAGE": BASE}, gib=1),
    Image("trainer", "trainer_image/Dockerfile",
          (INSTALL, "requirements/trainer.txt", API, "trainer_image/anneal_trainer"), {"TORCH_IMAGE": "torch"}, gib=2),
    Image("vllm", "server_image/vllm.Dockerfile",
          (INSTALL, "requirements/vllm-cpu.txt", API, "server_image/vllm_python", "server_image/anneal_server"),
          {"TORCH_IMAGE": "torch"}, gib=4, arguments={"VLLM": "cpu"}),
    Image("transformers", "server_image/transformers.Dockerfile",
          (INSTALL, "requirements/transformers.txt", API, "server_image/anneal_server"), {"TORCH_IMAGE": "torch"},
          gib=1),
    Image("seed", "examples/seed/Dockerfile", (INSTALL, "requirements/seed.txt", "examples/seed/convert.py",
          "examples/seed/seed.py"), {"TORCH_IMAGE": "torch", "BASE_IMAGE": BASE}, gib=1),
)}
# What a cluster runs; the others are layers under these.
RUNNABLE = ("operator", "trainer", "vllm", "transformers", "seed")


@cache
def tag(name: str) -> str:
    """First 12 hex digits of the sha256 over Dockerfile, inputs, arguments and parents."""
    total = hashlib.sha256()
    for part in base_parts() if name == BASE else image_parts(IMAGES[name]):
        total.update(hashlib.sha256(part).digest())
    return total.hexdigest()[:12]


def base_parts() -> Iterator[bytes]:
    yield " ".join((platform.machine(), BASE_SUITE, *BASE_PACKAGES)).encode()


def image_parts(image: Image) -> Iterator[bytes]:
    yield (ROOT / image.dockerfile).read_bytes()
    for argument, parent in sorted(image.parents.items()):
        yield f"{argument}={tag(parent)}".encode()
    for argument, value in sorted(image.arguments.items()):
        yield f"{argument}={value}".encode()
    for path in input_files(image):
        yield str(path.relative_to(ROOT)).encode()
        yield path.read_bytes()


def input_files(image: Image) -> list[Path]:
    paths = [ROOT / entry for entry in image.inputs]
    files = (file for path in paths for file in ([path] if path.is_file() else path.rglob("*")))
    return sorted(file for file in files if file.is_file() and "__pycache__" not in file.parts)


def reference(name: str, registry: str = PREFIX) -> str:
    return f"{registry.rstrip('/')}/{name}:{tag(name)}"


def tags(registry: str = PREFIX) -> dict[str, str]:
    return {name: reference(name, registry) for name in RUNNABLE}
