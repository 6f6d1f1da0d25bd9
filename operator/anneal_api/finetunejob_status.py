"""FineTuneJob: the status that we write. The only place that spells its field names."""

from typing import Annotated, Literal

from pydantic import Field

from anneal_api.conditions import Condition
from anneal_api.model import StatusDocument


class RunState(StatusDocument):
    """The run that the status is about."""

    id: str = Field(max_length=16)
    """Hash of the generation's run fields; names nothing outside the cluster."""
    generation: int = 0
    """metadata.generation that the run was frozen from."""
    state: Literal["Running", "Succeeded", "Failed"]
    """Running: the run fields of the spec may not change."""
    hash: str = Field(default="", max_length=64)
    """runHash: run fields, model commit and dataset digest; names the folder in the output. Known after prepare."""
    start_time: str = Field(default="", max_length=64)
    """When the first child of the run was made."""
    suspended_at: str = Field(default="", max_length=64)
    """When the current suspension began; empty when not suspended."""
    suspended_seconds: int = 0
    """Time in past suspensions, in seconds; the deadline does not count it."""


class StageStatus(StatusDocument):
    """One stage of the run."""

    name: str = Field(max_length=32)
    """prepare, train, evaluate or publish."""
    state: Literal["Pending", "Running", "Succeeded", "Failed", "Skipped"] = "Pending"
    """Where the stage stands."""
    attempt: int = 0
    """Number of the current Job, from 0."""
    failures: int = 0
    """Attempts of the stage that failed; suspension and preemption do not count."""
    disruptions: int = 0
    """Pods of the stage lost to eviction or preemption."""
    disrupted_pods: list[Annotated[str, Field(max_length=64)]] = Field(default=[], max_length=32)
    """UIDs of the lost pods that were counted, newest last."""
    job_name: str = Field(default="", max_length=63)
    """Name of the current Job."""
    reason: str = Field(default="", max_length=128)
    """Why the stage is in this state."""
    message: str = Field(default="", max_length=1024)
    """The same for people."""
    start_time: str = Field(default="", max_length=64)
    """When the first Job of the stage was made."""
    finish_time: str = Field(default="", max_length=64)
    """When the stage ended."""


class ProgressStatus(StatusDocument):
    """How far training is; written at most every ten seconds."""

    step: int = 0
    """Optimizer steps done."""
    total_steps: int = 0
    """Optimizer steps in all."""
    epoch: float = 0
    """Passes over the data done."""
    percent: int = 0
    """0 to 100."""
    first_loss: float | None = None
    """Training loss of the first step, in nats per trained token."""
    loss: float | None = None
    """Latest training loss, in nats per trained token."""
    eval_loss: float | None = None
    """Latest validation loss, in nats per trained token."""
    learning_rate: float | None = None
    """Latest learning rate."""
    tokens_per_second: float | None = None
    """Tokens processed per second, padding not counted."""
    eta_seconds: int | None = None
    """Expected seconds to the last step."""
    summary: str = Field(default="", max_length=128)
    """The same in a few words, for kubectl get."""
    time: str = Field(default="", max_length=64)
    """When this was read; RFC 3339 in UTC."""


class TimelineEntry(StatusDocument):
    """One moment of the run."""

    event: str = Field(max_length=64)
    """Of a run: created, accepted, <stage>Started, <stage>PodRunning, firstStep, <stage>Finished. Of a deployment:
    created, resolved, started, serverStarted, weightsVerified, firstToken, ready."""
    time: str = Field(max_length=64)
    """RFC 3339 in UTC."""


class DatasetStatus(StatusDocument):
    """What prepare found."""

    rows: int = 0
    """Rows read."""
    train: int = 0
    """Rows trained on."""
    validation: int = 0
    """Rows for the validation loss."""
    test: int = 0
    """Rows for perplexity."""
    dropped: int = 0
    """Rows left out because they are longer than maxTokens."""
    tokens: int = 0
    """Tokens of the training rows."""
    trained_tokens: int = 0
    """Of those, tokens that carry loss: the assistant's answers."""
    digest: str = Field(default="", max_length=80)
    """sha256 of the file."""


class Scores(StatusDocument):
    """One metric, base against tuned."""

    base: float | None = None
    """The base model's value."""
    tuned: float | None = None
    """The tuned model's value."""


class EvaluationStatus(StatusDocument):
    """Scores measured on the serving engine."""

    perplexity: Scores | None = None
    """exp of the mean negative log-likelihood per answer token on the test split; lower is better."""
    exact_match: Scores | None = None
    """Share of prompts, 0 to 1, whose answer passed its check; higher is better."""
    prompts: int = 0
    """Number of prompts."""
    engine: str = Field(default="", max_length=128)
    """Engine and version that answered."""


class ArtifactStatus(StatusDocument):
    """The published model."""

    uri: str = Field(max_length=512)
    """Folder of the artifact."""
    digest: str = Field(max_length=80)
    """sha256 of its manifest.json, which lists the sha256 of every file."""
    kind: Literal["adapter", "model"]
    """adapter: needs the base model beside it. model: complete."""
    base_uri: str = Field(default="", max_length=512)
    """The base model, pinned to a commit for hf:// models."""
    base_revision: str = Field(default="", max_length=128)
    """Commit of an hf:// base model."""
    base_digest: str = Field(default="", max_length=80)
    """Digest of the base model's files."""


class FineTuneJobStatus(StatusDocument):
    """What the operator observed. Conditions are the API; phase is a summary for people."""

    observed_generation: int = 0
    """metadata.generation that this status is about."""
    phase: str = Field(default="", max_length=32)
    """Pending, Preparing, Training, Evaluating, Publishing, Succeeded, Failed or Suspended. Programs read
    conditions."""
    conditions: list[Condition] = Field(default=[], max_length=16, json_schema_extra={
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]})
    """Ready, Reconciling, Stalled, DataValid, Trained, Evaluated, Published."""
    run: RunState | None = None
    """The current run."""
    stages: list[StageStatus] = Field(default=[], max_length=8, json_schema_extra={
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]})
    """The stages in order."""
    progress: ProgressStatus | None = None
    """How far training is."""
    timeline: list[TimelineEntry] = Field(default=[], max_length=64)
    """Where the time went, oldest first."""
    dataset: DatasetStatus | None = None
    """What prepare found."""
    evaluation: EvaluationStatus | None = None
    """Scores, base against tuned."""
    artifact: ArtifactStatus | None = None
    """The published model."""
