"""Writing so that a crash leaves the old file or the new one, never half of one."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any


def write_atomic(path: Path, data: bytes) -> None:
    """Write, fsync and rename; the folder is made when missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.tmp")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def write_lines(path: Path, rows: Iterable[Any]) -> None:
    """One JSON document per line, written like `write_atomic` but streamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.tmp")
    with draft.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def read_lines(path: Path) -> Iterator[Any]:
    """The documents that `write_lines` wrote."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def sync_folder(folder: Path) -> None:
    """Make renames inside the folder survive a power cut, where the file system knows how."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:  # some network file systems refuse to sync a folder; the rename itself is still atomic
        return
    finally:
        os.close(handle)
