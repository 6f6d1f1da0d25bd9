"""Checkpoints that are whole, and those that are not."""

from pathlib import Path

import pytest

from anneal_trainer import checkpoint
from anneal_trainer.errors import NoValidCheckpoint


def sealed(root: Path, step: int) -> Path:
    folder = checkpoint.folder_of(root, step)
    (folder / "inner").mkdir(parents=True)
    (folder / "weights").write_bytes(b"w" * step)
    (folder / "inner/state").write_bytes(b"s")
    checkpoint.seal(folder, step)
    return folder


def test_a_fresh_start_has_none(tmp_path: Path) -> None:
    assert checkpoint.newest_whole(tmp_path / "gone") is None


def test_the_newest_by_number_is_taken(tmp_path: Path) -> None:
    for step in (5, 100, 20):
        sealed(tmp_path, step)

    assert checkpoint.newest_whole(tmp_path) == tmp_path / "checkpoint-100"


def test_half_a_checkpoint_left_by_a_crash_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-7").mkdir()
    (tmp_path / "checkpoint-7/weights").write_bytes(b"half")

    assert checkpoint.newest_whole(tmp_path) is None


@pytest.mark.parametrize("damage", ["cut", "changed", "gone", "seal"])
def test_a_damaged_one_is_passed_over(damage: str, tmp_path: Path) -> None:
    older, newer = sealed(tmp_path, 5), sealed(tmp_path, 6)
    {
        "cut": lambda: (newer / "weights").write_bytes(b"w"),
        "changed": lambda: (newer / "weights").write_bytes(b"v" * 6),
        "gone": lambda: (newer / "inner/state").unlink(),
        "seal": lambda: (newer / checkpoint.SEAL).write_bytes(b"{"),
    }[damage]()

    assert checkpoint.newest_whole(tmp_path) == older


def test_only_damaged_ones_are_an_error_that_names_them(tmp_path: Path) -> None:
    (sealed(tmp_path, 5) / "weights").unlink()

    with pytest.raises(NoValidCheckpoint, match=r"checkpoint-5: .*weights is missing.*Fix: check the volume"):
        checkpoint.newest_whole(tmp_path)


def test_pruning_keeps_the_newest_sealed_and_removes_halves(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        sealed(tmp_path, step)
    (tmp_path / "checkpoint-4").mkdir()

    checkpoint.prune(tmp_path, keep=2)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-2", "checkpoint-3"]
