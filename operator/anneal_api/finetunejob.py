"""FineTuneJob: the spec a user writes and the status we write. The only place that spells its field names."""

from typing import Annotated, Literal

from pydantic import Field

from anneal_api.conditions import Condition
from anneal_api.model import Document, Duration, Name, Quantity, StatusDocument, rules
from anneal_api.pod import Resources, Scheduling
from anneal_api.uri import ClaimFileUri, ClaimUri, ModelUri

KIND = "FineTuneJob"
PLURAL = "finetunejobs"
SINGULAR = "finetunejob"
SHORT_NAMES = ("ftj",)


class SecretRef(Document):
    """A Secret in the same namespace."""

    name: Name
    """Name of the Secret. The key `token` holds a Hugging Face access token; it is mounted as a file,
    into the prepare pod only."""


class ConfigMapKeyRef(Document):
    """One key of a ConfigMap in the same namespace."""

    name: Name
    """Name of the ConfigMap."""
    key: str = Field(default="chat_template.jinja", min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")
    """Key whose value is the template."""


class Model(Document):
    """The base model."""

    model_config = {"json_schema_extra": rules(
        ("!has(self.revision) || self.uri.startsWith('hf://')", "model.revision is only for hf:// models"),
        ("!has(self.secretRef) || self.uri.startsWith('hf://')", "model.secretRef is only for hf:// models"),
    )}

    uri: ModelUri
    """Folder with config.json, tokenizer and *.safetensors: pvc://<claim>/<path> or hf://<owner>/<name>."""
    revision: str | None = Field(default=None, min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")
    """Commit, tag or branch of an hf:// model; resolved to a commit once per run and recorded in
    the artifact. Default: main."""
    secret_ref: SecretRef | None = None
    """Secret with the key `token`, for gated or private hf:// models."""


class Template(Document):
    """Where the chat template comes from."""

    model_config = {"json_schema_extra": rules(
        ("has(self.configMapRef) == (self.source == 'configMap')",
         "template.configMapRef goes with template.source: configMap, and only with it"),
    )}

    source: Literal["auto", "model", "builtin", "configMap"] = "auto"
    """auto: the model's own, or the built-in where it has none. model: the model's own or an error. builtin: a plain
    instruction template made of existing tokens. configMap: the one in configMapRef."""
    config_map_ref: ConfigMapKeyRef | None = None
    """The template for source configMap."""


class Split(Document):
    """How rows are divided. The division depends on the rows and training.seed only."""

    model_config = {"json_schema_extra": rules(
        ("self.validation + self.test <= 0.5", "split.validation and split.test together are at most 0.5"),
    )}

    validation: float = Field(default=0.05, ge=0, le=0.5)
    """Share of rows, 0 to 0.5, used to measure the loss during training."""
    test: float = Field(default=0.05, ge=0, le=0.5)
    """Share of rows, 0 to 0.5, never trained on; perplexity is measured on it. 0 skips perplexity."""


class Dataset(Document):
    """The training rows."""

    uri: ClaimFileUri
    """A .json or .jsonl file in a claim: pvc://<claim>/<path>."""
    format: Literal["auto", "instruction", "messages"] = "auto"
    """instruction: {instruction, input?, output}. messages: {messages: [{role, content}, ...]}. auto: told from the
    first row; every row must then have the same format."""
    split: Split = Split()
    """Shares for validation and test."""
    max_tokens: int = Field(default=2048, ge=16, le=131072)
    """Longest row in tokens, template included."""
    too_long: Literal["drop", "fail"] = "drop"
    """What to do with a longer row: drop it (counted in status.dataset) or fail the run and name its line."""


class Lora(Document):
    """Low-rank adaptation (Hu et al. 2021)."""

    rank: int = Field(default=16, ge=1, le=512)
    """Rank r of the update matrices."""
    alpha: int = Field(default=32, ge=1, le=4096)
    """Scale: the update is multiplied by alpha / rank."""
    dropout: float = Field(default=0.05, ge=0, lt=1)
    """Dropout on the adapter's input, 0 up to but not including 1."""
    target_modules: list[Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9_.-]+$")]] = Field(
        default=["q_proj", "v_proj"], min_length=1, max_length=32)
    """Names of the linear layers that get an adapter; ["all-linear"] means every linear layer but the head."""


class Method(Document):
    """How weights are changed."""

    model_config = {"json_schema_extra": rules(
        ("self.type == 'lora' || !has(self.lora)", "method.lora is only for method.type: lora"),
    )}

    type: Literal["lora", "full"] = "lora"
    """lora: train an adapter. full: train all weights."""
    lora: Lora | None = None
    """Adapter settings for type lora; its defaults apply when it is left out."""


class Checkpoint(Document):
    """When the state of training is saved."""

    model_config = {"json_schema_extra": rules(
        ("has(self.steps) == (self.every == 'steps')",
         "checkpoint.steps goes with checkpoint.every: steps, and only with it"),
    )}

    every: Literal["epoch", "steps"] = "epoch"
    """Save at the end of each epoch, or every `steps` optimizer steps. A checkpoint is saved on SIGTERM in any case."""
    steps: int | None = Field(default=None, ge=1, le=1_000_000)
    """Optimizer steps between checkpoints, for every: steps."""
    keep: int = Field(default=2, ge=1, le=20)
    """Checkpoints kept on the workspace; older ones are deleted."""


class Training(Document):
    """Arguments of the training loop; defaults suit LoRA on a 1B to 8B model."""

    epochs: int = Field(default=3, ge=1, le=1000)
    """Passes over the training rows."""
    batch_size: int = Field(default=4, ge=1, le=1024)
    """Rows per device and forward pass."""
    gradient_accumulation: int = Field(default=4, ge=1, le=1024)
    """Forward passes per optimizer step."""
    learning_rate: float = Field(default=2e-4, gt=0, le=1)
    """Peak learning rate, above 0 and at most 1."""
    scheduler: Literal["cosine", "linear", "constant"] = "cosine"
    """How the learning rate falls after warm-up."""
    warmup_ratio: float = Field(default=0.03, ge=0, le=0.5)
    """Share of all steps, 0 to 0.5, in which the learning rate rises."""
    weight_decay: float = Field(default=0.0, ge=0, le=1)
    """AdamW weight decay, 0 to 1."""
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """Compute type. auto: bf16 where the device has it, else fp16 on a GPU and fp32 on a CPU."""
    logging_steps: int = Field(default=50, ge=1, le=100_000)
    """Optimizer steps between two lines of metrics; the first and the last step are always logged."""
    seed: int = Field(default=42, ge=0, le=2_147_483_647)
    """Seed of the split, the shuffle, the adapter's start values and dropout."""
    checkpoint: Checkpoint = Checkpoint()
    """When to save."""


class Prompts(Document):
    """Prompts whose answers can be checked."""

    uri: ClaimFileUri
    """A .jsonl file in a claim. Each row: {id, messages, check}, where check is one of
    {contains}, {containsAny}, {equals}, {regex}."""


class Evaluation(Document):
    """How base and tuned are compared, on the real serving engine."""

    prompts: Prompts | None = None
    """Checkable prompts; each answer is stored beside the artifact."""
    max_new_tokens: int = Field(default=128, ge=1, le=4096)
    """Longest answer in tokens. Answers are greedy."""


class Output(Document):
    """Where the artifact goes."""

    uri: ClaimUri
    """Folder in a claim; a run writes <uri>/runs/<runHash>/ once and never changes it."""


class Workspace(Document):
    """The volume that the stages of one run share."""

    size: Quantity = "20Gi"
    """Requested size: checkpoints, the tokenised dataset and, for hf:// models, the weights."""
    storage_class_name: Name | None = None
    """Storage class; default: the cluster's default class."""
    access_mode: Literal["ReadWriteOnce", "ReadWriteMany"] = "ReadWriteOnce"
    """Access mode of the claim."""
    retain: Literal["OnFailure", "Always", "Never"] = "OnFailure"
    """When the workspace outlives the run: OnFailure keeps it until the run is corrected or the
    FineTuneJob is deleted."""


class Retry(Document):
    """How often a stage is tried again."""

    failures: int = Field(default=3, ge=0, le=10)
    """New attempts per stage after a failure that another attempt may not repeat."""
    disruptions: int = Field(default=20, ge=0, le=1000)
    """Evictions and preemptions survived per run; they do not count as failures."""


class FineTuneJobSpec(Document):
    """What to train, on what, and where to put the result."""

    model: Model
    """The base model."""
    template: Template = Template()
    """The chat template."""
    dataset: Dataset
    """The training rows."""
    method: Method = Method()
    """How weights are changed."""
    training: Training = Training()
    """Arguments of the training loop."""
    evaluation: Evaluation = Evaluation()
    """How base and tuned are compared."""
    output: Output
    """Where the artifact goes."""
    resources: Resources = Resources()
    """Resources of the train pod, and of the evaluate pod with its engine as a whole."""
    scheduling: Scheduling = Scheduling()
    """Where the pods may run."""
    workspace: Workspace = Workspace()
    """The volume that the stages share."""
    retry: Retry = Retry()
    """How often a stage is tried again."""
    deadline: Duration = "24h"
    """Longest time from the first child to the end, suspension not counted."""
    stall_timeout: Duration = "1h"
    """Longest time without a sign of life while training (a batch, an evaluated batch, a checkpoint); then the attempt
    ends with the reason NoProgress, and the next one goes on from the last checkpoint."""
    suspend: bool = False
    """true saves a checkpoint and removes the pods; false goes on from it."""
    run_id: str = Field(default="", max_length=63, pattern=r"^[A-Za-z0-9._-]*$")
    """Change it to run the same spec again."""


RUN_FIELDS = ("model", "template", "dataset", "method", "training", "evaluation", "output", "runId")
"""Spec fields that shape the result: fixed while a run is under way, hashed into the run."""


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
    created, resolved, started, weightsVerified, serverStarted, firstToken, ready."""
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
