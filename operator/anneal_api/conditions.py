"""Conditions and reasons: the part of a status that programs may rely on.

A reason is API: it is documented here, listed in docs/reference/reasons.md, and never renamed. Messages are for
people and may change; they name the object, the limit and the value, and say what to do.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from anneal_api.model import StatusDocument


class ConditionType(StrEnum):
    """Every condition type that we write."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    DATA_VALID = "DataValid"
    TRAINED = "Trained"
    EVALUATED = "Evaluated"
    PUBLISHED = "Published"
    ARTIFACT_VERIFIED = "ArtifactVerified"
    AVAILABLE = "Available"
    ROLLED_BACK = "RolledBack"


class Reason(StrEnum):
    """Every reason that we write into a condition, a stage or an Event. `REASONS` documents each."""

    # progress
    ACCEPTED = "Accepted"
    WAITING = "Waiting"
    RUNNING = "Running"
    STARTING = "Starting"
    SUSPENDED = "Suspended"
    RETRYING = "Retrying"
    # done
    STAGE_SUCCEEDED = "StageSucceeded"
    SKIPPED = "Skipped"
    PUBLISHED = "Published"
    ALREADY_PUBLISHED = "AlreadyPublished"
    SERVING = "Serving"
    SCALED_TO_ZERO = "ScaledToZero"
    ROLLED_BACK = "RolledBack"
    # waiting for the world
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    CLAIM_NOT_FOUND = "ClaimNotFound"
    SECRET_NOT_FOUND = "SecretNotFound"
    CONFIG_MAP_NOT_FOUND = "ConfigMapNotFound"
    VOLUME_NOT_READY = "VolumeNotReady"
    QUOTA_EXCEEDED = "QuotaExceeded"
    POD_REJECTED = "PodRejected"
    WEBHOOK_UNAVAILABLE = "WebhookUnavailable"
    CONTAINER_NOT_STARTED = "ContainerNotStarted"
    NODE_LOST = "NodeLost"
    PERMISSION_DENIED = "PermissionDenied"
    FIELD_TAKEN = "FieldTaken"
    FINE_TUNE_JOB_NOT_FOUND = "FineTuneJobNotFound"
    FINE_TUNE_JOB_NOT_PUBLISHED = "FineTuneJobNotPublished"
    INSUFFICIENT_SURGE_CAPACITY = "InsufficientSurgeCapacity"
    PREEMPTED = "Preempted"
    EVICTED = "Evicted"
    # failures
    UNSUPPORTED_SPEC = "UnsupportedSpec"
    NAME_TAKEN = "NameTaken"
    BAD_CONFIG = "BadConfig"
    BAD_DATA = "BadData"
    DATASET_NOT_FOUND = "DatasetNotFound"
    MODEL_NOT_FOUND = "ModelNotFound"
    MODEL_MISMATCH = "ModelMismatch"
    OUT_OF_MEMORY = "OOMKilled"
    CUDA_OUT_OF_MEMORY = "CudaOutOfMemory"
    LOSS_NOT_FINITE = "LossNotFinite"
    STORAGE_UNAVAILABLE = "StorageUnavailable"
    DISK_FULL = "DiskFull"
    NO_VALID_CHECKPOINT = "NoValidCheckpoint"
    TOO_MANY_DISRUPTIONS = "TooManyDisruptions"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    NO_PROGRESS = "NoProgress"
    CRASHED = "Crashed"
    RESULT_MISSING = "ResultMissing"
    ARTIFACT_INVALID = "ArtifactInvalid"
    SERVER_CRASHED = "ServerCrashed"
    SERVER_NOT_READY = "ServerNotReady"


@dataclass(frozen=True)
class ReasonInfo:
    """What a reason means, whether it ends the run (terminal: no retry changes it), and what the user can do."""

    meaning: str
    terminal: bool = False
    fix: str = ""


REASONS: dict[Reason, ReasonInfo] = {
    Reason.ACCEPTED: ReasonInfo("The resource was read and its first child is about to be made."),
    Reason.WAITING: ReasonInfo("The stage has not started: an earlier one is still at work."),
    Reason.RUNNING: ReasonInfo("A pod of the stage is running."),
    Reason.STARTING: ReasonInfo("Pods exist but none has answered yet: the engine is loading weights."),
    Reason.SUSPENDED: ReasonInfo("spec.suspend is true; the running pod saved a checkpoint and was removed.",
                                 fix="Set spec.suspend to false to go on from the last checkpoint."),
    Reason.RETRYING: ReasonInfo("An attempt failed in a way that another attempt may not; the next one is being made."),
    Reason.STAGE_SUCCEEDED: ReasonInfo("The stage finished and its result was read."),
    Reason.SKIPPED: ReasonInfo("The stage had nothing to do."),
    Reason.PUBLISHED: ReasonInfo("The artifact is complete in the output and its manifest was written last."),
    Reason.ALREADY_PUBLISHED: ReasonInfo(
        "An artifact of exactly this model, data and configuration was already in the output; nothing was trained.",
        fix="Change spec.runId to train it again."),
    Reason.SERVING: ReasonInfo("All replicas have completed a prompt and receive traffic."),
    Reason.SCALED_TO_ZERO: ReasonInfo("spec.replicas is 0: nothing runs and nothing answers."),
    Reason.ROLLED_BACK: ReasonInfo(
        "The revision that the spec asks for did not become Ready and was removed; the one before it goes on serving.",
        fix="Read condition RolledBack, and correct the spec or go back to the old one: anneal rollback."),
    Reason.UNSCHEDULABLE: ReasonInfo("The scheduler finds no node for the pod.",
                                     fix="Lower spec.resources, or add a node that fits spec.scheduling."),
    Reason.IMAGE_PULL_FAILED: ReasonInfo("The node cannot pull the container image.",
                                         fix="Check the image name in the operator's settings and the pull secret."),
    Reason.CLAIM_NOT_FOUND: ReasonInfo("A PersistentVolumeClaim named in a pvc:// URI does not exist.",
                                       fix="Create the claim in the same namespace, or correct the URI."),
    Reason.SECRET_NOT_FOUND: ReasonInfo("A Secret that the spec names does not exist.",
                                        fix="Create the Secret in the same namespace."),
    Reason.CONFIG_MAP_NOT_FOUND: ReasonInfo("A ConfigMap that the spec names does not exist.",
                                            fix="Create the ConfigMap in the same namespace."),
    Reason.VOLUME_NOT_READY: ReasonInfo("A volume cannot be bound or mounted.",
                                        fix="Check the claim's storage class and access mode."),
    Reason.QUOTA_EXCEEDED: ReasonInfo("A ResourceQuota of the namespace rejects the pod.",
                                      fix="Free quota or lower spec.resources; the operator tries again by itself."),
    Reason.POD_REJECTED: ReasonInfo("Admission (Pod Security, LimitRange or a webhook) rejects the pod.",
                                    fix="Read the message; change the policy or the spec."),
    Reason.WEBHOOK_UNAVAILABLE: ReasonInfo(
        "A webhook of the cluster's has to approve what is made, and does not answer.",
        fix="Start the service behind the webhook again; the operator tries again by itself."),
    Reason.CONTAINER_NOT_STARTED: ReasonInfo(
        "The image is there, but the node cannot start the container from it.",
        fix="Read the message: it names the program or the mount that the image lacks."),
    Reason.NODE_LOST: ReasonInfo(
        "The pod should have ended and its node does not say that it has, so no other may write to its volumes yet.",
        fix="Bring the node back; if it is gone for good, kubectl delete node, or taint it "
            "node.kubernetes.io/out-of-service=:NoExecute. The run goes on by itself."),
    Reason.PERMISSION_DENIED: ReasonInfo("The operator is not allowed to do what the resource needs.",
                                         fix="Restore the operator's Role or ClusterRole from the chart."),
    Reason.FIELD_TAKEN: ReasonInfo(
        "Another manager has set a field of a child that the operator sets too; it is not taken away by force.",
        fix="Change it in the spec of this resource, and let the manager that the message names give the field up."),
    Reason.FINE_TUNE_JOB_NOT_FOUND: ReasonInfo("The FineTuneJob that spec.model names does not exist yet.",
                                               fix="Create it in the same namespace, or correct the name."),
    Reason.FINE_TUNE_JOB_NOT_PUBLISHED: ReasonInfo("The FineTuneJob that spec.model names has no artifact yet.",
                                                   fix="Wait for it, or see why it failed: kubectl describe ftj."),
    Reason.INSUFFICIENT_SURGE_CAPACITY: ReasonInfo(
        "There is no room for the new revision beside the one that serves.",
        fix="Free resources, or scale spec.replicas down during the change."),
    Reason.PREEMPTED: ReasonInfo("The pod was evicted or preempted and saved a checkpoint; the same Job resumes."),
    Reason.EVICTED: ReasonInfo(
        "The node refused the pod, or put it out to save itself; the next attempt may land elsewhere.",
        fix="Add nodes, or ask for what is really used in spec.resources."),
    Reason.UNSUPPORTED_SPEC: ReasonInfo("The spec holds a field or value that this operator does not know.", True,
                                        "Upgrade the operator to the version of the CRD, or remove the field."),
    Reason.NAME_TAKEN: ReasonInfo("An object that is not ours already has the name of a child we need.", True,
                                  "Rename or delete that object, or give the resource another name."),
    Reason.BAD_CONFIG: ReasonInfo("The stage refuses its configuration.", True,
                                  "Correct the field that the message names."),
    Reason.BAD_DATA: ReasonInfo("A row of the dataset or the prompts is not usable.", True,
                                "Correct the file, line and column that the message names."),
    Reason.DATASET_NOT_FOUND: ReasonInfo("The dataset or prompts path does not exist in its claim.", True,
                                         "Correct the path after pvc://<claim>/."),
    Reason.MODEL_NOT_FOUND: ReasonInfo(
        "There is no model at that path or repository, or the token may not read it.", True,
                                       "Correct spec.model.uri, the revision, or the Secret."),
    Reason.MODEL_MISMATCH: ReasonInfo("Model, tokenizer, template and method do not fit together.", True,
                                      "Follow the message; it names the two parts and their values."),
    Reason.OUT_OF_MEMORY: ReasonInfo("The kernel killed the container at its memory limit.", True,
                                     "Raise spec.resources.memory, or lower batchSize or maxTokens."),
    Reason.CUDA_OUT_OF_MEMORY: ReasonInfo("The GPU has too little memory for the step.", True,
                                          "Halve batchSize and double gradientAccumulation, or lower maxTokens."),
    Reason.LOSS_NOT_FINITE: ReasonInfo("The loss became NaN or infinite.", True,
                                       "Lower learningRate, or use precision bf16 or fp32."),
    Reason.STORAGE_UNAVAILABLE: ReasonInfo("Storage did not answer or refused to write.",
                                           fix="Check the claim; the stage is retried."),
    Reason.DISK_FULL: ReasonInfo("A volume is full.", True, "Raise spec.workspace.size or free the output claim."),
    Reason.NO_VALID_CHECKPOINT: ReasonInfo("Checkpoints exist but none is whole.", True,
                                           "Change spec.runId to start from the beginning."),
    Reason.TOO_MANY_DISRUPTIONS: ReasonInfo("The run was evicted or preempted more often than spec.retry.disruptions.",
                                            True, "Raise the limit or use a higher priority class."),
    Reason.DEADLINE_EXCEEDED: ReasonInfo("The run took longer than spec.deadline.", True, "Raise spec.deadline."),
    Reason.NO_PROGRESS: ReasonInfo("Training stood still for spec.stallTimeout and was ended; the next attempt goes on "
                                   "from the last checkpoint.",
                                   fix="Look at what the main thread waited for, and at that node's GPU, network and "
                                       "volume; raise spec.stallTimeout if one step may take so long."),
    Reason.CRASHED: ReasonInfo("The container ended with an error that has no better name; see its last log lines.",
                               fix="Read the last log lines in the message."),
    Reason.RESULT_MISSING: ReasonInfo("A stage ended with success but left no result that can be read."),
    Reason.ARTIFACT_INVALID: ReasonInfo("The model to serve is incomplete or its checksums differ.", True,
                                        "Publish it again, or correct spec.model."),
    Reason.SERVER_CRASHED: ReasonInfo("The serving container ends again and again.",
                                      fix="Read the last log lines in the message."),
    Reason.SERVER_NOT_READY: ReasonInfo("The server runs but has not completed a prompt in the time allowed.",
                                        fix="Read the server's log; raise spec.resources."),
}


class Condition(StatusDocument):
    """A Kubernetes condition (meta/v1 Condition)."""

    type: str = Field(max_length=64)
    """What the condition is about; each kind lists its types."""
    status: Literal["True", "False", "Unknown"]
    """True, False or Unknown."""
    reason: str = Field(min_length=1, max_length=128)
    """Why, in one word that programs may rely on; docs/reference/reasons.md explains each."""
    message: str = Field(default="", max_length=4096)
    """The same for people: what, where, how to fix."""
    observed_generation: int = Field(default=0, ge=0)
    """metadata.generation that the condition is about."""
    last_transition_time: str = Field(max_length=64)
    """When status last changed; RFC 3339 in UTC."""


def timestamp(now: datetime) -> str:
    """RFC 3339 in UTC with second precision, as the API server writes it."""
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


def set_condition(
    conditions: Iterable[Condition], kind: ConditionType, status: Literal["True", "False", "Unknown"],
    reason: Reason, message: str, *, generation: int, now: datetime,
) -> tuple[Condition, ...]:
    """Return the conditions with this one set, sorted by type. The time changes only when the status does."""
    rest = {c.type: c for c in conditions}
    old = rest.get(kind)
    since = old.last_transition_time if old and old.status == status else timestamp(now)
    rest[kind] = Condition(type=kind, status=status, reason=reason, message=message[:4096],
                           observed_generation=generation, last_transition_time=since)
    return tuple(rest[key] for key in sorted(rest))


def drop_condition(conditions: Iterable[Condition], kind: ConditionType) -> tuple[Condition, ...]:
    """Return the conditions without this one."""
    return tuple(c for c in conditions if c.type != kind)


def find_condition(conditions: Iterable[Condition], kind: ConditionType) -> Condition | None:
    """The condition of this type, if it is set."""
    return next((c for c in conditions if c.type == kind), None)
