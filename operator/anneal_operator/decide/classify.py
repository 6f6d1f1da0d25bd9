"""From evidence to a Reason and a message that says what, where and how to fix. One classifier for both kinds."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from anneal_api.conditions import REASONS, Reason
from anneal_api.run import ExitCode, parse_progress
from anneal_operator.decide import objects
from anneal_operator.decide.facts import Object, WriteError

IMAGE_PATIENCE = timedelta(minutes=10)
"""A registry that is down for a moment must not end a run."""
MAX_LOG_LINES = 20
MAX_LOG_CHARS = 1000

BY_EXIT_CODE = {
    ExitCode.BAD_CONFIG: Reason.BAD_CONFIG, ExitCode.BAD_DATA: Reason.BAD_DATA,
    ExitCode.MODEL_MISMATCH: Reason.MODEL_MISMATCH, ExitCode.CUDA_OUT_OF_MEMORY: Reason.CUDA_OUT_OF_MEMORY,
    ExitCode.LOSS_NOT_FINITE: Reason.LOSS_NOT_FINITE, ExitCode.STORAGE_UNAVAILABLE: Reason.STORAGE_UNAVAILABLE,
    ExitCode.DISK_FULL: Reason.DISK_FULL, ExitCode.NO_VALID_CHECKPOINT: Reason.NO_VALID_CHECKPOINT,
    ExitCode.DATASET_NOT_FOUND: Reason.DATASET_NOT_FOUND, ExitCode.MODEL_NOT_FOUND: Reason.MODEL_NOT_FOUND,
    ExitCode.PREEMPTED: Reason.PREEMPTED,
}

_NO_CLAIM = re.compile(r'persistentvolumeclaim "[^"]*" not found')
_NO_VOLUME = re.compile(r"unbound immediate PersistentVolumeClaims|volume node affinity|find available persistent")
_NOT_PULLED = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
_EVENTS = (
    (re.compile(r"exceeded quota"), Reason.QUOTA_EXCEEDED),
    (re.compile(r'secret "[^"]*" not found|references non-existent secret key', re.IGNORECASE),
     Reason.SECRET_NOT_FOUND),
    (re.compile(r'configmap "[^"]*" not found|references non-existent config key', re.IGNORECASE),
     Reason.CONFIG_MAP_NOT_FOUND),
    (_NO_CLAIM, Reason.CLAIM_NOT_FOUND),
    (re.compile(r"PodSecurity|denied the request|no PriorityClass|LimitRange|limits? to request|forbidden"),
     Reason.POD_REJECTED),
    (re.compile(r"volume|claim", re.IGNORECASE), Reason.VOLUME_NOT_READY),
)


@dataclass(frozen=True)
class Verdict:
    """What is wrong."""

    reason: Reason
    message: str
    terminal: bool

    @staticmethod
    def of(reason: Reason, message: str, *, terminal: bool | None = None) -> "Verdict":
        """A verdict with the fix that the catalogue knows, unless the message has one."""
        fix = REASONS[reason].fix
        text = message if not fix or "Fix:" in message else f"{message.rstrip('. ')}. Fix: {fix}"
        return Verdict(reason, text, REASONS[reason].terminal if terminal is None else terminal)


def log_tail(log: str) -> str:
    """The last lines that a person would want to see."""
    lines = [line.rstrip() for line in log.splitlines() if line.strip() and parse_progress(line) is None]
    return "\n".join(lines[-MAX_LOG_LINES:])[-MAX_LOG_CHARS:]


def stuck(pod: Object, events: Iterable[Object], where: str, now: datetime) -> Verdict | None:
    """Why a pod that has not started does not start; None when it is simply starting."""
    return (_unschedulable(pod, where) or _image(pod, where, now)
            or _from_events(events, objects.name(pod), f"{where}, pod {objects.name(pod)}"))


def _unschedulable(pod: Object, where: str) -> Verdict | None:
    found = objects.condition(pod, "PodScheduled")
    if found.get("status") != "False" or found.get("reason") not in ("Unschedulable", "SchedulerError"):
        return None
    text = str(found.get("message", ""))
    known = ((_NO_CLAIM, Reason.CLAIM_NOT_FOUND), (_NO_VOLUME, Reason.VOLUME_NOT_READY))
    reason = next((reason for pattern, reason in known if pattern.search(text)), Reason.UNSCHEDULABLE)
    return Verdict.of(reason, f"{where}, pod {objects.name(pod)}: {text}")


def _image(pod: Object, where: str, now: datetime) -> Verdict | None:
    for container in objects.container_statuses(pod):
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in _NOT_PULLED:
            since = objects.parse_time(pod["metadata"].get("creationTimestamp")) or now
            text = f"{where}, container {container['name']}: image {container.get('image')} cannot be pulled"
            # The detail alternates between two wordings; only the stable one may reach a status.
            return Verdict.of(Reason.IMAGE_PULL_FAILED, text, terminal=now - since > IMAGE_PATIENCE)
        if waiting.get("reason") == "CreateContainerConfigError":
            return from_text(str(waiting.get("message", "")), f"{where}, container {container['name']}")
    return None


def _from_events(events: Iterable[Object], name: str, where: str) -> Verdict | None:
    found = [event for event in events if (event.get("involvedObject") or {}).get("name") == name
             and event.get("reason") not in ("FailedScheduling", "Unhealthy", "BackOff", "Failed")]
    newest = sorted(found, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    return from_text(str(newest[-1].get("message", "")), where) if newest else None


def from_text(text: str, where: str) -> Verdict | None:
    """What a sentence of Kubernetes' stands for."""
    reason = next((reason for pattern, reason in _EVENTS if pattern.search(text)), None)
    return Verdict.of(reason, f"{where}: {text[:MAX_LOG_CHARS]}") if reason else None


def no_pod(job: Object, events: Iterable[Object], where: str) -> Verdict | None:
    """Why a controller makes no pod: that exists only in its Events."""
    return _from_events(events, objects.name(job), where)


def pending_claim(claim: Object, events: Iterable[Object]) -> Verdict | None:
    """Why a claim is not bound; None when it is, or waits for its first pod as it should."""
    found = _from_events((e for e in events if e.get("reason") != "WaitForFirstConsumer"), objects.name(claim),
                         f"claim {objects.name(claim)}")
    return Verdict.of(Reason.VOLUME_NOT_READY, found.message) if found else None


def out_of_memory(pod: Object, where: str) -> Verdict | None:
    """Was a container killed at its limit?"""
    for container in objects.container_statuses(pod):
        states = [container.get("state") or {}, container.get("lastState") or {}]
        if any((state.get("terminated") or {}).get("reason") == "OOMKilled" for state in states):
            limit = objects.limit_of(pod, container["name"], "memory")
            return Verdict.of(Reason.OUT_OF_MEMORY,
                              f"{where}, container {container['name']}: killed at its memory limit of {limit}")
    return None


def ended_badly(pod: Object, container: str, where: str, log: str) -> Verdict:
    """Why the container of a failed pod ended."""
    end = objects.terminated(pod, container)
    code: Any = end.get("exitCode")
    words = said(str(end.get("message", "")))
    if killed := out_of_memory(pod, where):
        return killed
    if reason := BY_EXIT_CODE.get(code):
        return Verdict.of(reason, f"{where}: {words or log_tail(log) or f'exit code {code}'}")
    if code is None:
        text = objects.status(pod).get("message") or objects.status(pod).get("reason") or "the container never ran"
        return Verdict.of(Reason.CRASHED, f"{where}, pod {objects.name(pod)}: {text}")
    tail = log_tail(log) or words or "there is no log to read"
    return Verdict.of(Reason.CRASHED, f"{where}, container {container}: exit code {code}; last log lines:\n{tail}",
                      terminal=False)


def said(message: str) -> str:
    """What our program says in its termination message."""
    try:
        found = json.loads(message)
    except ValueError:
        return message.strip()[:MAX_LOG_CHARS]
    return str(found.get("message", "")) if isinstance(found, dict) else ""


def refused(errors: Iterable[WriteError], written: set[tuple[str, str]]) -> Verdict | None:
    """Why the API server does not take what this pass writes again; older refusals do not count."""
    error = next((error for error in errors if (error.kind, error.name) in written), None)
    if error is None:
        return None
    text = f"{error.kind} {error.name}: {error.message[:MAX_LOG_CHARS]}"
    if error.reason == "NameTaken":
        return Verdict.of(Reason.NAME_TAKEN, text)
    if error.reason == "Forbidden" and re.search(r'User "[^"]*" cannot|cannot \w+ resource', error.message):
        return Verdict.of(Reason.PERMISSION_DENIED, text)
    return from_text(error.message, f"{error.kind} {error.name}") or Verdict.of(Reason.POD_REJECTED, text)
