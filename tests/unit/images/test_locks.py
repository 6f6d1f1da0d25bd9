"""The lock files as they are committed: complete, agreeing with each other, and bound to no place."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from anneal_localcluster_images.locks import REQUIREMENTS, SEED, TOOLS, TORCH, Lock, override_arguments

EVERY = [entry.name for entry in (*TOOLS, *TORCH, *SEED)]
PIN = re.compile(r"^(?P<name>[a-z0-9][a-z0-9.-]*)==(?P<version>[^ ;\\]+)")


def pins(name: str) -> dict[str, set[str]]:
    """Versions by package; a universal lock may pin several for different systems."""
    found: dict[str, set[str]] = {}
    for line in (REQUIREMENTS / f"{name}.txt").read_text().splitlines():
        if match := PIN.match(line):
            found.setdefault(match["name"], set()).add(match["version"])
    return found


@pytest.mark.parametrize("name", EVERY)
def test_every_line_is_a_pin_with_hashes(name: str) -> None:
    text = (REQUIREMENTS / f"{name}.txt").read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if line.strip()]
    assert lines
    assert [line[:80] for line in lines if not PIN.match(line) or "--hash=sha256:" not in line] == []


def test_every_lock_file_is_one_that_the_command_writes() -> None:
    assert {path.stem for path in Path(REQUIREMENTS).glob("*.txt")} == set(EVERY)


@pytest.mark.parametrize("name", ["trainer", "transformers", "vllm-cpu"])
def test_images_on_the_torch_layer_add_to_it_and_never_change_it(name: str) -> None:
    torch, image = pins("torch"), pins(name)
    assert {package: image[package] for package in torch if package in image and image[package] != torch[package]} == {}


@pytest.mark.parametrize("group", [TOOLS, TORCH], ids=["tools", "torch"])
def test_files_of_a_group_agree(group: Sequence[Lock]) -> None:
    """They are installed side by side in one environment, or in images on one layer."""
    seen: dict[str, set[str]] = {}
    for name in (entry.name for entry in group):
        for package, versions in pins(name).items():
            common = seen.setdefault(package, versions)
            assert common >= versions or common <= versions, package
    assert seen


def test_overrides_apply_to_the_cpu_build_alone() -> None:
    assert [entry.name for entry in TORCH if override_arguments(entry)] == ["vllm-cpu"]
    assert (REQUIREMENTS / "vllm-cpu.overrides").is_file()
