"""Checkpoints that are whole or do not count.

The training library writes a folder file by file, so a pod that dies leaves half of one. We seal a folder when all of
it is written: `sealed.json` lists every file with size and sha256 and is written last. Resuming takes the newest
sealed folder whose files are as listed. Folders that other objects wrote lie elsewhere and are never looked at,
because optimizer and random state are loaded from them.
"""

import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from anneal_api.artifact import ArtifactError, ManifestFile, file_sha256, verify_files
from anneal_api.model import Document
from anneal_trainer.errors import NoValidCheckpoint
from anneal_trainer.files import write_atomic

log = logging.getLogger(__name__)

SEAL = "sealed.json"
_PREFIX = "checkpoint-"


class Seal(Document):
    """The content of sealed.json."""

    step: int
    files: list[ManifestFile]


def folder_of(root: Path, step: int) -> Path:
    """Where the training library writes the checkpoint of a step."""
    return root / f"{_PREFIX}{step}"


def seal(folder: Path, step: int) -> None:
    """Declare the folder whole; its files reach the disk first."""
    files = [describe(path, folder) for path in sorted(folder.rglob("*")) if path.is_file() and path.name != SEAL]
    for entry in files:
        _sync(folder / entry.path)
    write_atomic(folder / SEAL, Seal(step=step, files=files).model_dump_json(by_alias=True, indent=2).encode())


def describe(path: Path, folder: Path) -> ManifestFile:
    """Name, size and sha256 of a file."""
    return ManifestFile(path=path.relative_to(folder).as_posix(), sha256=file_sha256(path), bytes=path.stat().st_size)


def prune(root: Path, keep: int) -> None:
    """Delete all but the newest sealed folders, and what a crash left unsealed."""
    sealed = list(_sealed(root))
    for folder in set(_all(root)) - set(sealed[:keep]):
        shutil.rmtree(folder)


def newest_whole(root: Path) -> Path | None:
    """The checkpoint to resume from; None at a fresh start.

    Raises NoValidCheckpoint when sealed ones exist and all are damaged: starting over silently would hide lost storage.
    """
    damage: list[str] = []
    for folder in _sealed(root):
        if (problem := _problem(folder)) is None:
            return folder
        log.warning("checkpoint %s is damaged: %s", folder.name, problem)
        damage.append(f"{folder.name}: {problem}")
    if damage:
        raise NoValidCheckpoint(
            f"no checkpoint in {root} is whole: {'; '.join(damage)[:1200]}. "
            "Fix: check the volume, then set a new spec.runId to train from the start."
        )
    return None


def _problem(folder: Path) -> str | None:
    try:
        verify_files(folder, Seal.model_validate_json((folder / SEAL).read_bytes()).files)
    except (ArtifactError, ValidationError, OSError) as error:
        return str(error)
    return None


def _sealed(root: Path) -> Iterator[Path]:
    """Sealed folders, newest first."""
    return (folder for folder in _all(root) if (folder / SEAL).is_file())


def _all(root: Path) -> list[Path]:
    found = [path for path in root.glob(f"{_PREFIX}*") if path.name.removeprefix(_PREFIX).isdigit()]
    return sorted(found, key=lambda path: int(path.name.removeprefix(_PREFIX)), reverse=True)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
