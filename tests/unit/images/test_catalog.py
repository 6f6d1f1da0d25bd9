"""An image's tag changes with everything that goes into it, and with nothing else."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from anneal_localcluster_images import catalog
from anneal_localcluster_images.catalog import IMAGES, RUNNABLE, Image, input_files, reference, tag, tags
from anneal_localcluster_images.programs import ROOT

REPOSITORY = ROOT


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A tree with every Dockerfile and input that the catalog names."""
    for image in IMAGES.values():
        for name in (image.dockerfile, *image.inputs):
            file = tmp_path / name if (REPOSITORY / name).is_file() else tmp_path / name / "__init__.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"content of {name}\n")
    monkeypatch.setattr(catalog, "ROOT", tmp_path)
    tag.cache_clear()
    yield tmp_path
    tag.cache_clear()


def changed_by(root: Path, file: str, content: str) -> set[str]:
    """Names of the images whose tag changes when a file does."""
    before = {name: tag(name) for name in IMAGES}
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(content)
    tag.cache_clear()
    return {name for name in IMAGES if tag(name) != before[name]}


@pytest.mark.parametrize(("file", "changed"), [
    ("requirements/torch.txt", {"torch", "trainer", "vllm", "transformers", "seed"}),
    ("trainer_image/torch.Dockerfile", {"torch", "trainer", "vllm", "transformers", "seed"}),
    ("requirements/install.sh", set(IMAGES)),
    ("requirements/trainer.txt", {"trainer"}),
    ("requirements/transformers.txt", {"transformers"}),
    ("server_image/anneal_server/engines/new.py", {"vllm", "transformers"}),
    ("operator/anneal_operator/__init__.py", {"operator"}),
    ("operator/anneal_api/__init__.py", {"operator", "trainer", "vllm", "transformers"}),
    ("operator/anneal_api/__pycache__/run.cpython-311.pyc", set()),
    ("operator/anneal_cli/__main__.py", set()),
])
def test_a_change_reaches_what_is_made_from_it(root: Path, file: str, changed: set[str]) -> None:
    assert changed_by(root, file, "changed\n") == changed


def test_a_moved_file_is_a_change(root: Path) -> None:
    before = tag("operator")
    package = root / "operator" / "anneal_operator"
    (package / "__init__.py").rename(package / "main.py")
    tag.cache_clear()
    assert tag("operator") != before


def test_another_base_is_another_image(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: tag(name) for name in IMAGES}
    monkeypatch.setattr(catalog, "BASE_PACKAGES", (*catalog.BASE_PACKAGES, "one-more"))
    tag.cache_clear()
    assert all(tag(name) != before[name] for name in IMAGES)


def test_an_argument_is_part_of_the_tag(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, vllm = tag("vllm"), IMAGES["vllm"]
    cuda = Image(vllm.name, vllm.dockerfile, vllm.inputs, vllm.parents, vllm.gib, {"VLLM": "cuda"})
    monkeypatch.setitem(IMAGES, "vllm", cuda)
    tag.cache_clear()
    assert tag("vllm") != before


def test_references_name_the_registry_once() -> None:
    assert reference("trainer") == f"localhost/anneal/trainer:{tag('trainer')}"
    assert tags("registry.example.com/team/") == {
        name: f"registry.example.com/team/{name}:{tag(name)}" for name in RUNNABLE}


@pytest.mark.parametrize("name", IMAGES)
def test_every_copied_file_is_an_input(name: str) -> None:
    """Else a change to it would keep the tag, and the old image would run."""
    image = IMAGES[name]
    steps = [line.split() for line in (REPOSITORY / image.dockerfile).read_text().splitlines()]
    own = [step for step in steps if step[:1] == ["COPY"] and not step[1].startswith("--from")]
    copied = [word for step in own for word in step[1:-1]]
    resolved = [word.replace("${VLLM}", image.arguments.get("VLLM", "")) for word in copied]
    inputs = {str(path.relative_to(REPOSITORY)) for path in input_files(image)} | set(image.inputs)
    assert resolved
    assert set(resolved) <= inputs


@pytest.mark.parametrize("name", IMAGES)
def test_every_parent_is_an_argument_of_the_dockerfile(name: str) -> None:
    text = (REPOSITORY / IMAGES[name].dockerfile).read_text()
    assert [argument for argument in IMAGES[name].parents if f"ARG {argument}" not in text] == []
