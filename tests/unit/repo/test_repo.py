"""Promises about the tree itself."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SOURCE_ROOTS = ("operator", "trainer_image", "server_image")


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True)
    return [ROOT / line for line in done.stdout.splitlines()]


@pytest.mark.parametrize("folder", SOURCE_ROOTS)
def test_source_roots_are_not_packages(folder: str) -> None:
    # A package called `operator` would shadow the standard library.
    assert not (ROOT / folder / "__init__.py").exists()


def test_every_make_target_is_documented() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = set(re.findall(r"^\.PHONY: (\S+)", text, re.MULTILINE))
    documented = set(re.findall(r"^([a-z0-9-]+):.*## ", text, re.MULTILINE))
    assert phony == documented


def test_a_python_that_is_missing_is_named_and_help_needs_none() -> None:
    def make(target: str) -> subprocess.CompletedProcess[str]:
        argv = ["make", "--dry-run", target, "PYTHON=no-such-python"]
        return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)

    assert make("help").returncode == 0
    for target in ("demo", "test", "cluster-up"):
        done = make(target)
        assert done.returncode != 0
        assert "no-such-python is not on the PATH. Install Python 3.11 or newer" in done.stderr


def test_locks_name_no_registry() -> None:
    for lock in (ROOT / "requirements").glob("*.txt"):
        assert "://" not in lock.read_text(), f"{lock.name} names a registry host"


def test_no_large_file_is_tracked() -> None:
    large = {str(path.relative_to(ROOT)): path.stat().st_size for path in tracked()
             if path.is_file() and path.stat().st_size > 1 << 20}
    assert not large
