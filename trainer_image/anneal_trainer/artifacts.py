"""Where a run's artifact lies and how it is called in a status."""

from pathlib import Path

from anneal_api.artifact import Manifest
from anneal_api.finetunejob_status import ArtifactStatus
from anneal_api.run import RunSpec
from anneal_trainer.places import Places


def run_folder(run: RunSpec, places: Places, run_hash: str) -> Path:
    """The artifact's folder on the mounted output."""
    return places.claim(run.output.uri) / "runs" / run_hash


def artifact_status(run: RunSpec, manifest: Manifest, digest: str) -> ArtifactStatus:
    """What the status of the job says about a published artifact."""
    return ArtifactStatus(
        uri=f"{run.output.uri}/runs/{manifest.run_hash}",
        digest=digest,
        kind=manifest.kind,
        base_uri=manifest.base.uri,
        base_revision=manifest.base.revision,
        base_digest=manifest.base.digest,
    )
