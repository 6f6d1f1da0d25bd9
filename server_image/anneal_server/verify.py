"""Every byte that the engine will load is the byte that was pinned."""

import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from anneal_api.artifact import MANIFEST, MODEL_FILES, read_manifest, verify_files
from anneal_api.conditions import timestamp
from anneal_api.finetunejob_status import ArtifactStatus
from anneal_api.serve import ServeSpec, Verified
from anneal_api.termination import ExitCode
from anneal_api.uri import CLAIM_ROOT, parse_claim, parse_hub
from anneal_server.failures import ServerError, mismatch
from anneal_server.folder import check_model
from anneal_server.resolve import folder_digest


def verify(spec: ServeSpec, artifact: ArtifactStatus, claims: Path = Path(CLAIM_ROOT)) -> None:
    """Verify the artifact and, for an adapter, its base, which is brought from the hub first where it comes from there.

    Raises ServerError and ArtifactError, whose messages say which file differs, and OSError.
    """
    begun = time.monotonic()
    verify_artifact(mounted(artifact.uri, claims), artifact)
    if artifact.kind == "adapter":
        folder = base_folder(spec, artifact, claims)
        verify_folder(folder, artifact.base_digest, f"the base model {artifact.base_uri}")
    say(Verified(seconds=round(time.monotonic() - begun, 2), time=timestamp(datetime.now(UTC))).line())


def mounted(uri: str, claims: Path) -> Path:
    """Where a claim's folder appears in this container."""
    place = parse_claim(uri)
    if place is None:
        raise ServerError(ExitCode.BAD_CONFIG, f"{uri} is not a pvc:// URI; artifacts are served from claims")
    return claims / place.claim / place.path


def verify_artifact(folder: Path, artifact: ArtifactStatus) -> None:
    """By its manifest where it has one, else by all its files."""
    found = read_manifest(folder)
    if found is None:
        verify_folder(folder, artifact.digest, artifact.uri)
        return
    manifest, digest = found
    if digest != artifact.digest:
        raise mismatch(f"{folder / MANIFEST} has digest {digest}, but {artifact.digest} was pinned: the artifact was "
                       "changed after it was published; publish it again under a new spec.runId")
    verify_files(folder, manifest.files)
    if manifest.kind == "model":
        check_model(folder)
    say(f"{artifact.uri}: {len(manifest.files)} files verified, {digest}")


def base_folder(spec: ServeSpec, artifact: ArtifactStatus, claims: Path) -> Path:
    """The base where the claim has it, or fetched to where the spec's first model expects it."""
    repository = parse_hub(artifact.base_uri)
    if repository is None:
        return mounted(artifact.base_uri, claims)
    target = Path(spec.models[0].path)
    download(repository, artifact.base_revision, target)
    return target


def download(repository: str, revision: str, target: Path) -> None:
    """Only files that are ever loaded, only at the pinned commit."""
    if not revision:
        raise ServerError(ExitCode.BAD_CONFIG, f"hf://{repository} is not pinned to a commit")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
    from huggingface_hub.utils import disable_progress_bars

    os.environ.pop("HF_HUB_OFFLINE", None)
    # A log is no terminal; and the operator looks for what was verified near the log's beginning.
    disable_progress_bars()
    try:
        snapshot_download(repository, revision=revision, allow_patterns=list(MODEL_FILES), local_dir=target)
    except (GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise ServerError(ExitCode.MODEL_NOT_FOUND, f"hf://{repository} at {revision}: {error}") from error
    except HfHubHTTPError as error:
        raise ServerError(ExitCode.STORAGE_UNAVAILABLE, f"fetching hf://{repository} at {revision}: {error}") from error


def verify_folder(folder: Path, pinned: str, what: str) -> None:
    """A plain model folder against its digest."""
    check_model(folder)
    if (found := folder_digest(folder)) != pinned:
        raise mismatch(f"{what} in {folder} has digest {found}, but {pinned} was pinned: a file was changed, added or "
                       "removed since; restore the folder, or train again on what it holds now")
    say(f"{what}: verified, {pinned}")


def say(message: str) -> None:
    """One line in the container's log."""
    sys.stdout.write(message + "\n")
    sys.stdout.flush()
