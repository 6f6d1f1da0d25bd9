"""Model folders and artifacts as they lie in a claim, small but real files."""

import json
from pathlib import Path

import pytest

from anneal_api.artifact import MANIFEST, BaseModelRef, Manifest, ManifestFile, digest_of, file_sha256
from anneal_api.finetunejob_status import ArtifactStatus, DatasetStatus
from anneal_server.resolve import folder_digest


def write_model(folder: Path, **config: object) -> Path:
    """A complete model as far as files go: the tests never load it."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", **config}))
    (folder / "model.safetensors").write_bytes(b"weights of " + folder.name.encode())
    (folder / "tokenizer.json").write_text("{}")
    return folder


def write_adapter(folder: Path, base: Path, base_uri: str, rank: int = 16) -> ArtifactStatus:
    """An adapter artifact with its manifest, pinned as a ModelDeployment pins it."""
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"r": rank, "target_modules": ["v_proj", "q_proj"]}))
    (folder / "adapter_model.safetensors").write_bytes(b"adapter")
    digest = write_manifest(folder, "adapter", BaseModelRef(uri=base_uri, digest=folder_digest(base)))
    return ArtifactStatus(uri="pvc://models/support", digest=digest, kind="adapter", base_uri=base_uri,
                          base_digest=folder_digest(base))


def write_manifest(folder: Path, kind: str, base: BaseModelRef) -> str:
    """List every file of the folder; returns the manifest's digest."""
    files = [ManifestFile(path=path.name, sha256=file_sha256(path), bytes=path.stat().st_size)
             for path in sorted(folder.iterdir())]
    manifest = Manifest.model_validate({
        "kind": kind, "run_hash": "0" * 16, "created": "2026-01-01T00:00:00Z", "base": base,
        "dataset": DatasetStatus(), "files": files})
    (folder / MANIFEST).write_bytes(manifest.to_bytes())
    return digest_of(manifest.to_bytes())


@pytest.fixture
def claims(tmp_path: Path) -> Path:
    """Stands in for /mnt/pvc; it holds a model and an adapter on it."""
    write_model(tmp_path / "models" / "base")
    return tmp_path


@pytest.fixture
def adapter(claims: Path) -> ArtifactStatus:
    """The adapter at pvc://models/support."""
    return write_adapter(claims / "models" / "support", claims / "models" / "base", "pvc://models/base")
