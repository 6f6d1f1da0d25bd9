"""Copies the demo's model, and the files of a mounted folder, into claims. Run again, it changes nothing.

  seed.py --models /mnt/pvc/models              # -> /mnt/pvc/models/smollm2-135m-instruct
          --data /mnt/pvc/data                  # files of /seed/data-in -> /mnt/pvc/data/<file>
"""

import argparse
import hashlib
import os
import shutil
from pathlib import Path

MODELS = Path("/seed/models")
DATA_IN = Path("/seed/data-in")
"""Mount a ConfigMap with the dataset here."""


def main() -> None:
    """Copy what the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, help="folder in a claim that gets the model's folder")
    parser.add_argument("--data", type=Path, help="folder in a claim that gets the files mounted at /seed/data-in")
    chosen = parser.parse_args()
    if chosen.models:
        copy_files(MODELS, chosen.models)
    if chosen.data:
        copy_files(DATA_IN, chosen.data)


def copy_files(source: Path, target: Path) -> None:
    """Every file below `source`; those that are equal already stay as they are."""
    files = [path for path in sorted(source.rglob("*")) if path.is_file() and not hidden(path.relative_to(source))]
    if not files:
        raise SystemExit(f"{source} holds no files; mount them there")
    for path in files:
        copy(path, target / path.relative_to(source))


def hidden(path: Path) -> bool:
    """A ConfigMap volume keeps its versions in folders that start with two dots."""
    return any(part.startswith(".") for part in path.parts)


def copy(source: Path, target: Path) -> None:
    """Atomic: a reader sees the old file, the new file, or none."""
    if target.is_file() and sha256(target) == sha256(source):
        print(f"{target} is there already", flush=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    with source.open("rb") as reader, part.open("wb") as writer:
        shutil.copyfileobj(reader, writer, 1 << 20)
        writer.flush()
        os.fsync(writer.fileno())
    if sha256(part) != sha256(source):
        part.unlink()
        raise SystemExit(f"{target} was not written whole; is the claim full?")
    part.replace(target)
    print(f"{target} written", flush=True)


def sha256(path: Path) -> str:
    """Hex digest, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    main()
