"""The manifest of a published model: what was trained from what, and the sha256 of every file.

`manifest.json` is written last, so a folder without one is not an artifact. Its own sha256 is the digest
by which servers pin the artifact.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from anneal_api.finetunejob_status import DatasetStatus, EvaluationStatus
from anneal_api.model import StatusDocument

MANIFEST = "manifest.json"
TEMPLATE_FILE = "chat_template.jinja"
MODEL_FILES = ("*.safetensors", "*.json", "*.model", "*.txt", "*.jinja")
"""The only files of a model that are ever fetched or loaded: no pickle, no Python."""


class ManifestFile(StatusDocument):
    """One file of the artifact."""

    path: str = Field(max_length=512)
    """Relative to the artifact's folder, with forward slashes."""
    sha256: str = Field(min_length=64, max_length=64)
    bytes: int = Field(ge=0)


class BaseModelRef(StatusDocument):
    """The model that was tuned."""

    uri: str = Field(max_length=512)
    revision: str = Field(default="", max_length=128)
    """Commit, for hf:// models."""
    digest: str = Field(max_length=80)
    """See `model_digest`."""
    family: str = Field(default="", max_length=64)


class Manifest(StatusDocument):
    """The content of manifest.json."""

    schema_version: Literal[1] = 1
    kind: Literal["adapter", "model"]
    run_hash: str
    created: str = Field(max_length=64)
    job: dict[str, str] = {}
    """namespace, name and uid of the FineTuneJob."""
    base: BaseModelRef
    dataset: DatasetStatus
    config: dict[str, Any] = {}
    """The run fields of the spec."""
    evaluation: EvaluationStatus | None = None
    files: list[ManifestFile]
    lora_rank: int = 0
    """Rank of an adapter; engines need it before they load one."""
    template_sha256: str = ""
    """sha256 of the chat template that was trained with; a server must use the same."""

    def to_bytes(self) -> bytes:
        """Canonical bytes: the digest depends on the content alone."""
        return (json.dumps(self.model_dump(mode="json", by_alias=True), sort_keys=True, indent=2) + "\n").encode()


class ArtifactError(Exception):
    """A folder is not the artifact it should be. The message says which file and how it differs."""


def digest_of(data: bytes) -> str:
    """`sha256:<hex>` of the bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file, read in chunks of 1 MiB."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            total.update(chunk)
    return total.hexdigest()


def model_digest(files: Mapping[str, str]) -> str:
    """Digest of a plain model folder from {relative path: hex sha256}."""
    return digest_of("".join(f"{files[name]}  {name}\n" for name in sorted(files)).encode())


def model_files(folder: Path) -> list[Path]:
    """The loadable files of a model folder, sorted by name; files of other kinds are ignored."""
    return sorted({path for pattern in MODEL_FILES for path in folder.glob(pattern) if path.is_file()})


def read_manifest(folder: Path) -> tuple[Manifest, str] | None:
    """The manifest and its digest, or None when the folder has none.

    Raises ArtifactError when the file is there but is not a manifest.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return None
    data = path.read_bytes()
    try:
        return Manifest.model_validate_json(data), digest_of(data)
    except ValueError as error:
        raise ArtifactError(f"{path} is not a manifest of schema 1: {error}") from error


def verify_files(folder: Path, files: Iterable[ManifestFile]) -> None:
    """Check size and sha256 of every listed file. Raises ArtifactError that names the first difference."""
    for entry in files:
        path = folder / entry.path
        if folder.resolve() not in path.resolve().parents:
            raise ArtifactError(f"manifest lists {entry.path!r}, which is outside {folder}")
        if not path.is_file():
            raise ArtifactError(f"{path} is missing")
        if path.stat().st_size != entry.bytes:
            raise ArtifactError(f"{path} has {path.stat().st_size} bytes, the manifest says {entry.bytes}")
        if (found := file_sha256(path)) != entry.sha256:
            raise ArtifactError(f"{path} has sha256 {found}, the manifest says {entry.sha256}")
