"""What the operator and the trainer say to each other.

The operator writes a `RunSpec` into a ConfigMap, frozen for the whole run; every stage reads it from
`RUN_FILE`. A stage answers with an exit code, progress lines on stdout, a result file on the workspace and its
summary in the termination message.
"""

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from anneal_api.finetunejob import Dataset, Evaluation, Method, Model, Output, Template, Training
from anneal_api.finetunejob_status import ArtifactStatus, DatasetStatus, EvaluationStatus
from anneal_api.model import Document, StatusDocument

RUN_FILE = "/etc/anneal/run/run.json"
WORKSPACE = "/workspace"
TEMPLATE_DIR = "/etc/anneal/template"
"""The ConfigMap of template.configMapRef is mounted here."""
TOKEN_FILE = "/etc/anneal/secrets/hf/token"
"""The key `token` of model.secretRef is mounted here, in the prepare pod only."""
ENGINE_URL = "http://127.0.0.1:8000"
"""Where the engine sidecar of the evaluate pod answers."""
METRICS_PORT = 9400
"""Where the train pod shows its metrics, as the port `metrics`."""
BASE_MODEL = "base"
TUNED_MODEL = "tuned"


class Stage(StrEnum):
    """The stages in order; each is a Job over one workspace."""

    PREPARE = "prepare"
    TRAIN = "train"
    EVALUATE = "evaluate"
    PUBLISH = "publish"


class RunSpec(Document):
    """Everything a stage needs to know; the spec fields are copied with their defaults filled in."""

    schema_version: Literal[1] = 1
    name: str = Field(max_length=63)
    """Name of the FineTuneJob, for the manifest and the model card."""
    namespace: str = Field(max_length=63)
    uid: str = Field(max_length=64)
    model: Model
    template: Template
    dataset: Dataset
    method: Method
    training: Training
    evaluation: Evaluation
    output: Output
    run_id: str


class PrepareSummary(StatusDocument):
    """The result of prepare, as it fits into a termination message."""

    run_hash: str
    """First 16 hex digits of the sha256 over run fields, model commit and digest, dataset digest and runId."""
    model_path: str
    """Folder of the base model inside the pods: on its claim, or fetched to the workspace."""
    model_digest: str
    """sha256 over the sorted (file name, sha256) pairs of the model's files."""
    model_revision: str = ""
    """Commit of an hf:// model."""
    family: str = ""
    """model_type of config.json."""
    dataset: DatasetStatus
    already_published: ArtifactStatus | None = None
    """Set when the output already holds this runHash: nothing is left to do."""
    evaluation: EvaluationStatus | None = None
    """The scores stored with the artifact that is already published."""


class TrainSummary(StatusDocument):
    """The result of train."""

    steps: int
    first_loss: float
    last_loss: float
    seconds: float
    """Wall time from the first to the last step of this attempt."""
    tokens_per_second: float
    resumed_from_step: int = 0


class EvaluateSummary(StatusDocument):
    """The result of evaluate."""

    evaluation: EvaluationStatus


class PublishSummary(StatusDocument):
    """The result of publish."""

    artifact: ArtifactStatus


class StageResult(StatusDocument):
    """The termination message of a stage, and with `details` the file stages/<stage>/result.json on the workspace."""

    schema_version: Literal[1] = 1
    stage: Stage
    uid: str
    """uid of the FineTuneJob; a result of another one is not ours."""
    exit_code: int = 0
    message: str = Field(default="", max_length=2048)
    """For a failure: what, where, how to fix."""
    started: str = ""
    """When this attempt began; RFC 3339 in UTC, by the pod's clock."""
    finished: str = ""
    """When it ended."""
    prepare: PrepareSummary | None = None
    train: TrainSummary | None = None
    evaluate: EvaluateSummary | None = None
    publish: PublishSummary | None = None


class Progress(StatusDocument):
    """One line of JSON on the train pod's stdout, found by its first key `anneal`."""

    anneal: Literal["progress"] = "progress"
    step: int
    total_steps: int
    epoch: float
    loss: float | None = None
    eval_loss: float | None = None
    learning_rate: float | None = None
    tokens_per_second: float | None = None
    eta_seconds: int | None = None
    time: str = ""
    """RFC 3339 in UTC, by the trainer's clock."""

    def line(self) -> str:
        """The line, without a newline."""
        return self.model_dump_json(by_alias=True, exclude_none=True)


def parse_progress(line: str) -> Progress | None:
    """The progress in a log line, or None when it is another kind of line."""
    if '"anneal":"progress"' not in line:
        return None
    try:
        return Progress.model_validate_json(line[line.index("{"):])
    except ValueError:
        return None


def last_progress(log: str) -> Progress | None:
    """The newest progress line in a log."""
    return next((found for line in reversed(log.splitlines()) if (found := parse_progress(line))), None)


def first_step_time(log: str) -> str:
    """When the first optimizer step was logged; empty when the log does not show it."""
    found = next((p for line in log.splitlines() if (p := parse_progress(line)) and p.step >= 1), None)
    return found.time if found else ""


def run_fields(spec: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The part of a spec that shapes the result, in a stable order."""
    return {name: spec[name] for name in names if name in spec}
