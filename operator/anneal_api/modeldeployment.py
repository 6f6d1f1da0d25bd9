"""ModelDeployment: the spec a user writes and the status we write. The only place that spells its field names."""

from typing import Literal

from pydantic import Field

from anneal_api.conditions import Condition
from anneal_api.finetunejob_status import ArtifactStatus, TimelineEntry
from anneal_api.model import Digest, Document, Duration, Identifier, Name, StatusDocument, rules
from anneal_api.pod import Resources, Scheduling
from anneal_api.uri import ClaimUri

KIND = "ModelDeployment"
PLURAL = "modeldeployments"
SINGULAR = "modeldeployment"
SHORT_NAMES = ("mdep",)

BASE_MODEL_NAME = "base"
"""An adapter's base model is served beside it under this name."""


class FineTuneJobRef(Document):
    """A FineTuneJob in the same namespace."""

    name: Name
    """Name of the FineTuneJob."""


class ServedModel(Document):
    """What to serve."""

    model_config = {"json_schema_extra": rules(
        ("has(self.fineTuneJobRef) != has(self.uri)", "set exactly one of model.fineTuneJobRef and model.uri"),
        ("!has(self.digest) || has(self.uri)", "model.digest pins what model.uri holds; set model.uri"),
    )}

    fine_tune_job_ref: FineTuneJobRef | None = None
    """Serve the artifact that this FineTuneJob published; a newer run becomes a new revision."""
    uri: ClaimUri | None = None
    """Serve a folder in a claim: an artifact with manifest.json, or a plain model folder."""
    digest: Digest | None = None
    """Serve exactly this content of uri and refuse any other; status.stable.artifact.digest has it."""


class Engine(Document):
    """The inference engine."""

    type: Literal["vllm", "transformers"] = "vllm"
    """The server, OpenAI-compatible either way. vllm: for GPUs, load and long answers. transformers: on CPU, for
    development and small models."""
    max_model_len: int = Field(default=2048, ge=64, le=1_048_576)
    """Longest prompt and answer together, in tokens. More needs more memory."""


class Rollout(Document):
    """How one revision replaces another."""

    progress_deadline: Duration = "15m"
    """Time that a new revision has to become Ready; after it the one that serves stays, and the new one is removed."""


class ModelDeploymentSpec(Document):
    """What to serve, as what, and on how much."""

    model_config = {"json_schema_extra": rules(
        ("self.servedName != 'base'", "servedName base is taken by the base model of an adapter"),
        ("self.engine.type != 'transformers' || self.resources.gpus == 0",
         "engine.type transformers serves on CPU; set resources.gpus to 0, or engine.type to vllm"),
    )}

    model: ServedModel
    """What to serve."""
    served_name: Identifier = ""
    """Model name in requests; default: the name of the ModelDeployment."""
    engine: Engine = Engine()
    """The inference engine."""
    replicas: int = Field(default=1, ge=0, le=100)
    """Pods that serve. 0 stops serving and keeps the pinned artifact."""
    resources: Resources = Resources()
    """Resources of one pod."""
    scheduling: Scheduling = Scheduling()
    """Where the pods may run."""
    rollout: Rollout = Rollout()
    """How one revision replaces another."""


SETTINGS_FIELDS = frozenset({"served_name", "engine", "resources", "scheduling"})
"""The part of a spec that, beside the artifact, makes a revision."""


class RevisionStatus(StatusDocument):
    """One revision: everything that serving depends on."""

    name: str = Field(max_length=63)
    """Name of the Deployment."""
    hash: str = Field(max_length=16)
    """Hash of the pod template's inputs, the artifact digest included."""
    artifact: ArtifactStatus
    """What it serves, pinned."""
    source: str = Field(default="", max_length=600)
    """What of spec.model led to the artifact: finetunejob/<name> or the URI. The pin holds while it is asked for."""
    ready_replicas: int = 0
    """Pods that have completed a prompt."""
    start_time: str = Field(default="", max_length=64)
    """When it was first started; spec.rollout.progressDeadline counts from here."""
    settings: str = Field(default="", max_length=16384)
    """servedName, engine, resources and scheduling that it was made from, as JSON; `anneal rollback` writes them back.
    Empty when an older operator made it."""


class FailedRevision(RevisionStatus):
    """A revision that was given up. It is not tried again before the spec changes."""

    generation: int = 0
    """metadata.generation that asked for it."""
    reason: str = Field(max_length=128)
    """Why it was given up."""
    message: str = Field(default="", max_length=4096)
    """The same for people."""


class ModelDeploymentStatus(StatusDocument):
    """What the operator observed. Conditions are the API; phase is a summary for people."""

    observed_generation: int = 0
    """metadata.generation that this status is about."""
    phase: str = Field(default="", max_length=32)
    """Pending, Verifying, Starting, Serving, RolledBack, Stopped or Failed. Programs read conditions."""
    conditions: list[Condition] = Field(default=[], max_length=16, json_schema_extra={
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]})
    """Ready, Reconciling, Stalled, ArtifactVerified, Available, RolledBack."""
    url: str = Field(default="", max_length=512)
    """Address inside the cluster, with the OpenAI API under /v1."""
    served_name: str = Field(default="", max_length=63)
    """Model name to put into requests."""
    stable: RevisionStatus | None = None
    """The revision that receives traffic."""
    next: RevisionStatus | None = None
    """The revision that is being started, if it differs."""
    failed: FailedRevision | None = None
    """The revision that the spec asks for and that was given up for the stable one."""
    previous: RevisionStatus | None = None
    """The revision that served before the stable one; `anneal rollback` goes back to it."""
    replicas: str = Field(default="", max_length=32)
    """Ready and wanted pods of the newest revision, for example "1/2"."""
    timeline: list[TimelineEntry] = Field(default=[], max_length=64)
    """Where the time went, oldest first."""
