"""`make check` says which generated file is stale; `make generate` puts it right."""

from pathlib import Path

import generate
import pytest


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small tree with one writer."""
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "writers", lambda: (lambda: {"docs/reference/a.md": "new\n"},))
    return tmp_path


def test_a_missing_a_changed_and_a_forgotten_file_are_stale(tree: Path) -> None:
    assert generate.stale() == ["docs/reference/a.md"]
    (tree / "docs" / "reference").mkdir(parents=True)
    (tree / "docs" / "reference" / "a.md").write_text("old\n")
    (tree / "docs" / "reference" / "b.md").write_text("nothing writes me\n")
    assert generate.stale() == ["docs/reference/a.md", "docs/reference/b.md"]


def test_writing_leaves_nothing_stale(tree: Path) -> None:
    (tree / "docs" / "reference").mkdir(parents=True)
    (tree / "docs" / "reference" / "b.md").write_text("nothing writes me\n")
    generate.write()
    assert generate.stale() == []
    assert (tree / "docs" / "reference" / "a.md").read_text() == "new\n"


def test_a_file_that_is_right_is_not_touched(tree: Path) -> None:
    generate.write()
    before = (tree / "docs" / "reference" / "a.md").stat().st_mtime_ns
    generate.write()
    assert (tree / "docs" / "reference" / "a.md").stat().st_mtime_ns == before
