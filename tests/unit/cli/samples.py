"""Resources as the API server sends them, in the states that the screens must show well."""

from datetime import UTC, datetime, timedelta
from typing import Any

Object = dict[str, Any]
START = datetime(2026, 3, 2, 10, 0, 0, tzinfo=UTC)
DIGEST = "sha256:" + "4f2a" * 16
ARTIFACT = {"uri": "pvc://models/support/runs/9c1e5b7d2f004a6b", "digest": DIGEST, "kind": "adapter",
            "baseUri": "pvc://models/smollm2-135m-instruct", "baseDigest": "sha256:" + "77aa" * 16}
DATASET = {"rows": 420, "train": 378, "validation": 21, "test": 21, "dropped": 0, "tokens": 61204,
           "trainedTokens": 24022, "digest": "sha256:" + "0b" * 32}
STAGES = ("prepare", "train", "evaluate", "publish")


def at(seconds: float) -> str:
    """A moment after the start, as the API server writes it."""
    return (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(kind: str, status: str, reason: str, message: str = "", since: float = 0) -> Object:
    return {"type": kind, "status": status, "reason": reason, "message": message, "observedGeneration": 1,
            "lastTransitionTime": at(since)}


def stage(name: str, state: str, start: float | None = None, end: float | None = None, **more: Any) -> Object:
    times = {"startTime": at(start)} if start is not None else {}
    return {"name": name, "state": state, **times, **({"finishTime": at(end)} if end is not None else {}), **more}


def job(status: Object | None = None, name: str = "support", **metadata: Any) -> Object:
    return _object("FineTuneJob", name, {"model": {"uri": "pvc://models/smollm2-135m-instruct"}}, status, metadata)


def deployment(status: Object | None = None, name: str = "support", **metadata: Any) -> Object:
    return _object("ModelDeployment", name, {"model": {"fineTuneJobRef": {"name": "support"}}}, status, metadata)


def _object(kind: str, name: str, spec: Object, status: Object | None, metadata: Object) -> Object:
    seen = {"status": {"observedGeneration": 1, **status}} if status is not None else {}
    return {"apiVersion": "anneal.dev/v1alpha1", "kind": kind, "spec": spec, **seen,
            "metadata": {"name": name, "namespace": "default", "uid": f"{kind.lower()}-{name}-uid", "generation": 1,
                         "resourceVersion": "10", "creationTimestamp": at(0), **metadata}}


def training() -> Object:
    """Step 42 of 69."""
    return job({"phase": "Training", "conditions": [
        condition("Ready", "False", "Running", "stage train is running"), condition("Reconciling", "True", "Running"),
        condition("DataValid", "True", "StageSucceeded", since=14)],
        "run": {"id": "ab12", "generation": 1, "state": "Running", "hash": "9c1e5b7d2f004a6b", "startTime": at(1)},
        "stages": [stage("prepare", "Succeeded", 1, 14, reason="StageSucceeded"),
                   stage("train", "Running", 14, reason="Running", attempt=1, disruptions=1),
                   stage("evaluate", "Pending", reason="Waiting"), stage("publish", "Pending", reason="Waiting")],
        "dataset": DATASET,
        "progress": {"step": 42, "totalSteps": 69, "epoch": 1.83, "percent": 61, "firstLoss": 3.0123, "loss": 1.2034,
                     "evalLoss": 1.3121, "tokensPerSecond": 381.2, "etaSeconds": 70, "summary": "61% (42/69)"}})


def succeeded() -> Object:
    """Published, with scores."""
    return job({"phase": "Succeeded",
                "timeline": [{"event": event, "time": at(second)} for event, second in (
                    ("created", 0), ("accepted", 0), ("prepareStarted", 1), ("preparePodRunning", 3),
                    ("prepareFinished", 14), ("trainStarted", 14), ("trainPodRunning", 15), ("firstStep", 17),
                    ("trainFinished", 210))],
                "conditions": [condition("Ready", "True", "Published", "published", since=312)],
                "stages": [stage(name, "Succeeded", start, end, reason="StageSucceeded") for name, start, end in
                           zip(STAGES, (1, 14, 210, 300), (14, 210, 300, 312), strict=True)],
                "dataset": DATASET,
                "progress": {"step": 69, "totalSteps": 69, "epoch": 3, "percent": 100, "firstLoss": 3.0123,
                             "loss": 0.8042, "evalLoss": 1.1, "tokensPerSecond": 379.0, "summary": "100% (69/69)"},
                "evaluation": {"perplexity": {"base": 23.12, "tuned": 3.98}, "exactMatch": {"base": 0.1, "tuned": 0.85},
                               "prompts": 40, "engine": "vllm 0.32.0"},
                "artifact": ARTIFACT})


def failed() -> Object:
    """Out of memory in the second stage."""
    message = "stage train, container trainer: killed at its memory limit of 2Gi"
    return job({"phase": "Failed", "conditions": [
        condition("Ready", "False", "OOMKilled", message, 80), condition("Stalled", "True", "OOMKilled", message, 80)],
        "stages": [stage("prepare", "Succeeded", 1, 14),
                   stage("train", "Failed", 14, 80, reason="OOMKilled", message=message),
                   stage("evaluate", "Pending"), stage("publish", "Pending")],
        "dataset": DATASET})


def unschedulable() -> Object:
    """Train waits for a GPU."""
    message = ("pod support-1234-train-0: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu. "
               "spec.resources.gpus is 8")
    return job({"phase": "Training", "conditions": [
        condition("Ready", "False", "Unschedulable", message),
        condition("Reconciling", "True", "Unschedulable", message)],
        "stages": [stage("prepare", "Succeeded", 1, 14),
                   stage("train", "Running", 14, reason="Unschedulable", message=message),
                   stage("evaluate", "Pending"), stage("publish", "Pending")],
        "dataset": DATASET})


def suspended() -> Object:
    """Suspended in the middle of training."""
    body = job({"phase": "Suspended", "conditions": [condition("Ready", "False", "Suspended", "spec.suspend is true")],
                "stages": [stage("prepare", "Succeeded", 1, 14), stage("train", "Pending", 14, reason="Suspended"),
                           stage("evaluate", "Pending"), stage("publish", "Pending")],
                "progress": {"step": 42, "totalSteps": 69, "epoch": 1.83, "percent": 61, "summary": "61% (42/69)"}})
    return body | {"spec": body["spec"] | {"suspend": True}}


def serving() -> Object:
    """An adapter beside its base."""
    return deployment({"phase": "Serving", "replicas": "1/1",
                       "timeline": [{"event": event, "time": at(second)} for event, second in (
                           ("created", 0), ("resolved", 1), ("started", 1), ("serverStarted", 3),
                           ("weightsVerified", 4), ("firstToken", 39), ("ready", 40))],
                       "url": "http://support.default.svc/v1",
                       "servedName": "support",
                       "stable": {"name": "support-12345678-3f0c41ab", "hash": "3f0c41ab", "artifact": ARTIFACT,
                                  "readyReplicas": 1},
                       "conditions": [condition("ArtifactVerified", "True", "Serving", since=4),
                                      condition("Available", "True", "Serving", since=40),
                                      condition("Ready", "True", "Serving", "1/1 replicas serve", since=40)]})


def starting() -> Object:
    """The engine loads weights."""
    return deployment({"phase": "Starting", "replicas": "0/1", "servedName": "support",
                       "next": {"name": "support-12345678-3f0c41ab", "hash": "3f0c41ab", "artifact": ARTIFACT},
                       "conditions": [condition("ArtifactVerified", "True", "Serving", since=4),
                                      condition("Available", "False", "Starting", "the engine is loading", since=4),
                                      condition("Reconciling", "True", "Starting", since=4),
                                      condition("Ready", "False", "Starting", "the engine is loading", since=4)]})


def verifying() -> Object:
    """The FineTuneJob has not published yet."""
    message = "FineTuneJob 'support' has not published yet; it says Running. Fix: Wait for it."
    return deployment({"phase": "Verifying", "replicas": "0/1", "conditions": [
        condition("ArtifactVerified", "Unknown", "FineTuneJobNotPublished", message),
        condition("Available", "False", "FineTuneJobNotPublished", "no pod answers"),
        condition("Reconciling", "True", "FineTuneJobNotPublished", message),
        condition("Ready", "False", "FineTuneJobNotPublished", message)]})


def progress_line(step: int, total: int = 69, loss: float = 1.25) -> str:
    """A line of the train pod's log."""
    return (f'{{"anneal":"progress","step":{step},"totalSteps":{total},"epoch":1.0,"loss":{loss},"learningRate":0.0001,'
            f'"tokensPerSecond":380.0,"etaSeconds":70,"time":"{at(20)}"}}')
