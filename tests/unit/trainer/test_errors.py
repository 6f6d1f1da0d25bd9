"""Errors of storage, wherever they hide."""

import errno
import shutil
from pathlib import Path

import pytest

from anneal_trainer import errors
from anneal_trainer.errors import DiskFull, StorageUnavailable, fullest_volume, storage_error


def test_a_full_disk_names_its_mount_wherever_the_error_hides(tmp_path: Path) -> None:
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "model.safetensors"))
        except OSError as inner:
            raise RuntimeError("saving failed") from inner
    except RuntimeError as error:
        found = storage_error(error)

    assert isinstance(found, DiskFull)
    assert f"(writing {tmp_path}/model.safetensors)" in str(found)


@pytest.mark.parametrize("error", [
    OSError(errno.ENOSPC, "No space left on device"), RuntimeError("No space left on device (os error 28)"),
], ids=["a write", "safetensors"])
def test_a_full_disk_that_names_no_file_is_the_fullest_volume(
    error: Exception, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(errors, "fullest_volume", lambda: "/full (0.1 of 9.0 MiB free)")
    found = storage_error(error)

    assert isinstance(found, DiskFull)
    assert "no space left on volume /full (0.1 of 9.0 MiB free)" in str(found)


def test_the_fullest_volume_is_a_writable_one(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"proc /proc proc rw 0 0\nsys /sys/x sysfs ro 0 0\ndisk {tmp_path} ext4 rw,relatime 0 0\n")

    assert fullest_volume(mounts).startswith(f"{tmp_path} (")


def test_a_volume_that_vanishes_while_it_is_looked_at_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    mounts, gone = tmp_path / "mounts", tmp_path / "gone"
    gone.mkdir()
    usage = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage(gone / "x" if place == str(gone) else place))
    mounts.write_text(f"disk {gone} ext4 rw 0 0\ndisk {tmp_path} ext4 rw 0 0\n")
    assert fullest_volume(mounts).startswith(f"{tmp_path} (")
    mounts.write_text(f"disk {gone} ext4 rw 0 0\n")
    assert fullest_volume(mounts) == "of this container"


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE])
def test_storage_that_does_not_answer_may_be_tried_again(code: int) -> None:
    assert isinstance(storage_error(OSError(code, "broken", "/workspace/x")), StorageUnavailable)


def test_other_errors_are_not_the_storage() -> None:
    assert storage_error(ValueError("no")) is None
    assert storage_error(FileNotFoundError(errno.ENOENT, "gone")) is None
