"""FineTuneJob: the spec a user writes. The only place that spells its field names."""

from typing import Annotated, Literal

from pydantic import Field

from anneal_api.model import Document, Duration, Format, Identifier, Name, Quantity, rules
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
    key: Annotated[str, Field(max_length=253), Format(
        r"^[-._a-zA-Z0-9]+$", "a key of a ConfigMap holds letters, digits, '-', '_' and '.'")] = "chat_template.jinja"
    """Key whose value is the template."""


class Model(Document):
    """The base model."""

    model_config = {"json_schema_extra": rules(
        ("!has(self.revision) || self.uri.startsWith('hf://')", "model.revision is only for hf:// models"),
        ("!has(self.secretRef) || self.uri.startsWith('hf://')", "model.secretRef is only for hf:// models"),
    )}

    uri: ModelUri
    """Folder with config.json, tokenizer and *.safetensors: pvc://<claim>/<path> or hf://<owner>/<name>."""
    revision: Annotated[str, Field(max_length=128), Format(
        r"^[A-Za-z0-9][A-Za-z0-9._/-]*$", "write a commit, a tag or a branch")] | None = None
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
    target_modules: list[Annotated[str, Field(max_length=63), Format(
        r"^[A-Za-z0-9_.-]+$", "write the name of a layer, such as q_proj")]] = Field(
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
    run_id: Identifier = ""
    """Change it to run the same spec again."""


RUN_FIELDS = ("model", "template", "dataset", "method", "training", "evaluation", "output", "runId")
"""Spec fields that shape the result: fixed while a run is under way, hashed into the run."""
