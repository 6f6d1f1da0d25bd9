"""resolve: what a folder holds, pinned by digest."""

from pathlib import Path

from anneal_api.artifact import file_sha256, model_digest, model_files, read_manifest
from anneal_api.finetunejob_status import ArtifactStatus
from anneal_server.failures import missing
from anneal_server.folder import IsNative, check_model, known_to_transformers


def resolve(folder: Path, uri: str, is_native: IsNative = known_to_transformers) -> ArtifactStatus:
    """An artifact of a FineTuneJob by its manifest; any other model by its files."""
    if not folder.is_dir():
        raise missing(f"{uri} does not exist (looked in {folder}); check the path after pvc://<claim>/")
    if found := read_manifest(folder):
        manifest, digest = found
        if manifest.kind == "model":
            check_model(folder, is_native)
        base = manifest.base
        return ArtifactStatus(uri=uri, digest=digest, kind=manifest.kind, base_uri=base.uri,
                              base_revision=base.revision, base_digest=base.digest)
    check_model(folder, is_native)
    return ArtifactStatus(uri=uri, digest=folder_digest(folder), kind="model")


def folder_digest(folder: Path) -> str:
    """Digest of a plain model folder."""
    return model_digest({path.name: file_sha256(path) for path in model_files(folder)})
