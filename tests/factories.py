"""Objects as the API server sends them, for tests of what decides about them. Every argument has a sensible default."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from anneal_api.run import Stage
from anneal_operator.desired.names import labels
from anneal_operator.settings import PodSettings

Object = dict[str, Any]

START = datetime(2026, 3, 2, 10, 0, 0, tzinfo=UTC)
UID = "0f8fad5b-d9cb-469f-a165-70867728950e"
DIGEST = "sha256:" + "ab" * 32
RUN_HASH = "0123456789abcdef"
SETTINGS = PodSettings(trainer_image="example.com/trainer:1", vllm_image="example.com/vllm:1",
                       transformers_image="example.com/transformers:1")

ARTIFACT: Object = {
    "uri": f"pvc://models/out/runs/{RUN_HASH}", "digest": DIGEST, "kind": "adapter", "baseUri": "pvc://models/base",
    "baseRevision": "", "baseDigest": DIGEST,
}
DATASET: Object = {"rows": 100, "train": 90, "validation": 5, "test": 5, "dropped": 0, "tokens": 5000,
                   "trainedTokens": 2000, "digest": DIGEST}
SCORES: Object = {"perplexity": {"base": 20.0, "tuned": 8.0}, "exactMatch": {"base": 0.1, "tuned": 0.7}, "prompts": 40,
                  "engine": "vllm 0"}


def at(seconds: float) -> str:
    """A moment after the start, as the API server writes it."""
    return (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def make_finetunejob(name: str = "support", *, generation: int = 1, status: Object | None = None,
                     deleting: bool = False, **spec: Any) -> Object:
    """A FineTuneJob; keyword arguments are top-level spec fields."""
    fields = {"model": {"uri": "pvc://models/base"}, "dataset": {"uri": "pvc://data/rows.jsonl"},
              "output": {"uri": "pvc://models/out"}, "resources": {"cpu": "1", "memory": "2Gi"}, **spec}
    return _resource("FineTuneJob", name, fields, generation, status, deleting)


def make_modeldeployment(name: str = "support", *, generation: int = 1, status: Object | None = None,
                         deleting: bool = False, **spec: Any) -> Object:
    """A ModelDeployment; keyword arguments are top-level spec fields."""
    fields = {"model": {"fineTuneJobRef": {"name": "support"}}, "resources": {"cpu": "1", "memory": "4Gi"}, **spec}
    return _resource("ModelDeployment", name, fields, generation, status, deleting)


def _resource(kind: str, name: str, spec: Object, generation: int, status: Object | None, deleting: bool) -> Object:
    meta = {"name": name, "namespace": "team", "uid": UID, "generation": generation, "resourceVersion": "1",
            "creationTimestamp": at(0)}
    if deleting:
        meta["deletionTimestamp"] = at(1)
    return {"apiVersion": "anneal.dev/v1alpha1", "kind": kind, "metadata": meta, "spec": spec,
            **({"status": status} if status is not None else {})}


def make_condition(kind: str, status: str = "True", reason: str = "", message: str = "", seconds: float = 0) -> Object:
    """A condition of a Job, Pod or Deployment."""
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": at(seconds)}


def make_job(name: str = "support-0f8fad5b-train-0", *, stage: str = "train", attempt: int = 0, run: str = "",
             end: str | None = None, seconds: float = 0, **annotations: str) -> Object:
    """A Job of ours; `end` is Complete or Failed."""
    conditions = [make_condition(end, seconds=seconds, message="the Job says so")] if end else []
    return {"apiVersion": "batch/v1", "kind": "Job", "spec": {}, "status": {"conditions": conditions}, "metadata": {
        "name": name, "namespace": "team", "uid": f"uid-{name}", "creationTimestamp": at(seconds),
        "annotations": annotations,
        "labels": labels("FineTuneJob", "support", UID, stage=stage, attempt=str(attempt), run=run)}}


def make_pod(name: str = "pod-0", *, job: str = "support-0f8fad5b-train-0", stage: str = "train",
             phase: str = "Running", container: str = "trainer", state: Object | None = None,
             last: Object | None = None, restarts: int = 0, conditions: tuple[Object, ...] = (),
             memory: str = "2Gi", seconds: float = 0, run: str = "") -> Object:
    """A pod of a Job. `state` is the state of its one container."""
    status = {"name": container, "image": "example.com/trainer:1", "restartCount": restarts,
              "state": state or {"running": {"startedAt": at(seconds)}}, "lastState": last or {}}
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "team", "uid": f"uid-{name}", "creationTimestamp": at(seconds),
                     "labels": {**labels("FineTuneJob", "support", UID, stage=stage, run=run),
                                "batch.kubernetes.io/job-name": job}},
        "spec": {"containers": [{"name": container, "resources": {"limits": {"memory": memory}}}]},
        "status": {"phase": phase, "conditions": list(conditions), "containerStatuses": [status]},
    }


def unscheduled(text: str) -> Object:
    """A pod that the scheduler finds no node for, and its words."""
    return make_pod(phase="Pending", state={"waiting": {}},
                    conditions=(make_condition("PodScheduled", "False", "Unschedulable", text),))


def exited(code: int, message: str = "", reason: str = "", seconds: float = 5) -> Object:
    """The state of a container that has ended."""
    return {"terminated": {"exitCode": code, "message": message, "startedAt": at(seconds - 1),
                           "finishedAt": at(seconds), "reason": reason or ("Completed" if code == 0 else "Error")}}


def waiting(reason: str, message: str = "") -> Object:
    """The state of a container that has not started."""
    return {"waiting": {"reason": reason, "message": message}}


def make_event(about: str, message: str, reason: str = "FailedCreate", seconds: float = 0) -> Object:
    """A Warning Event."""
    return {"apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": reason, "message": message,
            "involvedObject": {"name": about}, "lastTimestamp": at(seconds)}


def stage_result(stage: str, *, uid: str = UID, code: int = 0, message: str = "", **changes: Any) -> str:
    """A termination message as the trainer writes it."""
    bodies: dict[str, Object] = {
        Stage.PREPARE: {"runHash": RUN_HASH, "modelPath": "/mnt/pvc/models/base", "modelDigest": DIGEST,
                        "family": "llama", "dataset": DATASET},
        Stage.TRAIN: {"steps": 10, "firstLoss": 3.0, "lastLoss": 1.0, "seconds": 12.5, "tokensPerSecond": 300.0},
        Stage.EVALUATE: {"evaluation": SCORES},
        Stage.PUBLISH: {"artifact": ARTIFACT},
    }
    said: Object = {"schemaVersion": 1, "stage": stage, "uid": uid, "exitCode": code, "message": message}
    if code == 0:
        said[stage] = {**bodies[stage], **changes}
    return json.dumps(said)


def progress_line(step: int, total: int = 100, loss: float | None = 1.5, seconds: float = 5) -> str:
    """A line of the train pod's log."""
    found: Object = {"anneal": "progress", "step": step, "totalSteps": total, "epoch": step / total, "loss": loss,
                     "learningRate": 1e-4, "tokensPerSecond": 380.0, "etaSeconds": total - step, "time": at(seconds)}
    return json.dumps({key: value for key, value in found.items() if value is not None}, separators=(",", ":"))
