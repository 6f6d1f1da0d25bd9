"""Errors of storage, wherever they hide."""

import errno
from pathlib import Path

import pytest

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
def test_a_full_disk_that_names_no_file_is_the_fullest_volume(error: Exception) -> None:
    found = storage_error(error)

    assert isinstance(found, DiskFull)
    assert fullest_volume() in str(found)


def test_the_fullest_volume_is_a_writable_one(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"proc /proc proc rw 0 0\nsys /sys/x sysfs ro 0 0\ndisk {tmp_path} ext4 rw,relatime 0 0\n")

    assert fullest_volume(mounts).startswith(f"{tmp_path} (")


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE])
def test_storage_that_does_not_answer_may_be_tried_again(code: int) -> None:
    assert isinstance(storage_error(OSError(code, "broken", "/workspace/x")), StorageUnavailable)


def test_other_errors_are_not_the_storage() -> None:
    assert storage_error(ValueError("no")) is None
    assert storage_error(FileNotFoundError(errno.ENOENT, "gone")) is None
