"""From evidence to a Reason and a message that says what, where and how to fix. One classifier for both kinds."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from signal import Signals
from typing import Any

from anneal_api.conditions import REASONS, Reason
from anneal_api.redaction import redact_text
from anneal_api.run import parse_progress
from anneal_api.sentences import LOGS, PULLS, sense, shortages, unscheduled_fix
from anneal_api.termination import ExitCode
from anneal_operator.decide import objects
from anneal_operator.decide.facts import Object, WriteError

IMAGE_PATIENCE = timedelta(minutes=10)
"""A registry that is down for a moment must not end a run."""
VOLUME_PATIENCE = timedelta(minutes=1)
"""So long a volume may take to be made and bound where nobody says that anything is wrong: clouds need up to half of
it, and a word about each of a thousand pods that wait a little longer makes all of them wait longer."""
MAX_LOG_LINES = 20
MAX_LOG_CHARS = 1000

BY_EXIT_CODE = {
    ExitCode.BAD_CONFIG: Reason.BAD_CONFIG, ExitCode.BAD_DATA: Reason.BAD_DATA,
    ExitCode.MODEL_MISMATCH: Reason.MODEL_MISMATCH, ExitCode.CUDA_OUT_OF_MEMORY: Reason.CUDA_OUT_OF_MEMORY,
    ExitCode.LOSS_NOT_FINITE: Reason.LOSS_NOT_FINITE, ExitCode.STORAGE_UNAVAILABLE: Reason.STORAGE_UNAVAILABLE,
    ExitCode.DISK_FULL: Reason.DISK_FULL, ExitCode.NO_VALID_CHECKPOINT: Reason.NO_VALID_CHECKPOINT,
    ExitCode.DATASET_NOT_FOUND: Reason.DATASET_NOT_FOUND, ExitCode.MODEL_NOT_FOUND: Reason.MODEL_NOT_FOUND,
    ExitCode.NO_PROGRESS: Reason.NO_PROGRESS, ExitCode.PREEMPTED: Reason.PREEMPTED,
}

LOST_AFTER = timedelta(seconds=30)
"""How long after its grace period a pod may still be there before its node counts as lost."""

_NO_VOLUME = re.compile(r"unbound immediate PersistentVolumeClaims|volume node affinity|find available persistent")
_NOT_PULLED = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
_NOT_STARTED = ("CreateContainerError", "RunContainerError", "StartError", "ContainerCannotRun")
_CHILD_KILLED = re.compile(r"killed by signal: Killed|SIGKILL|exitcode *: *-9")
"""A child that the kernel killed for memory: the container lives on and fails without being called OOMKilled."""
_PUT_OUT = ("Evicted", "UnexpectedAdmissionError", "NodeAffinity", "TopologyAffinityError")
"""Why a kubelet lets no container of a pod run (again); also OutOfcpu and its like, when two pods race for a node."""
_NO_EVIDENCE = ("FailedScheduling", "Unhealthy", "BackOff", "Failed")


@dataclass(frozen=True)
class Verdict:
    """What is wrong."""

    reason: Reason
    message: str
    terminal: bool

    @staticmethod
    def of(reason: Reason, message: str, *, fix: str = "", terminal: bool | None = None) -> "Verdict":
        """A verdict with this fix, or the one that the catalogue knows, unless the message has one."""
        fix = fix or REASONS[reason].fix
        text = message if not fix or "Fix:" in message else f"{message.rstrip('. ')}. Fix: {fix}"
        # Whoever may read a status may not read Secrets, and what a library prints is nobody's promise.
        return Verdict(reason, redact_text(text), REASONS[reason].terminal if terminal is None else terminal)


def log_tail(log: str) -> str:
    """The last lines that a person would want to see."""
    lines = [line.rstrip() for line in log.splitlines() if line.strip() and parse_progress(line) is None]
    # First redacted, then cut: half a secret looks like nothing.
    return redact_text("\n".join(lines[-MAX_LOG_LINES:]))[-MAX_LOG_CHARS:]


def stuck(
    pod: Object, events: Iterable[Object], where: str, now: datetime, claims: Iterable[Object] = (),
) -> Verdict | None:
    """Why a pod that has not started does not start; None when it is simply starting."""
    about = f"{where}, pod {objects.name(pod)}"
    known = list(events)
    return (_unschedulable(pod, about, known, claims, now) or _container(pod, where, known, now)
            or _from_events(known, objects.name(pod), about))


def lacks_volume(pod: Object) -> bool:
    """Does the scheduler find no node for it because a volume is not there yet?"""
    return bool(_NO_VOLUME.search(_unscheduled(pod)))


def _unscheduled(pod: Object) -> str:
    """Why the scheduler finds no node; empty when it has not said so."""
    found = objects.condition(pod, "PodScheduled")
    said = found.get("status") == "False" and found.get("reason") in ("Unschedulable", "SchedulerError")
    return str(found.get("message", "")) if said else ""


def _age(pod: Object, now: datetime) -> timedelta:
    return now - (objects.parse_time(objects.created(pod)) or now)


def _unschedulable(
    pod: Object, about: str, events: list[Object], claims: Iterable[Object], now: datetime,
) -> Verdict | None:
    text = _unscheduled(pod)
    if not text:
        return None
    if _NO_VOLUME.search(text):
        return _no_volume(pod, about, text, events, claims, late=_age(pod, now) >= VOLUME_PATIENCE)
    if (known := sense(text)) and known.reason is Reason.CLAIM_NOT_FOUND:
        return Verdict.of(known.reason, f"{about}: {text}", fix=known.fix)
    asked = [f"{what} {amount}" for what in shortages(text) if (amount := objects.requested(pod, what))]
    wish = f" It asks for {', '.join(asked)}." if asked else ""
    return Verdict.of(Reason.UNSCHEDULABLE, f"{about}: {text}{wish}", fix=unscheduled_fix(text))


def _container(pod: Object, where: str, events: list[Object], now: datetime) -> Verdict | None:
    for container in objects.container_statuses(pod):
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason, text = waiting.get("reason"), str(waiting.get("message", ""))
        about = f"{where}, container {container['name']}"
        if reason in _NOT_PULLED:
            return _not_pulled(pod, container, about, events, now)
        if reason == "CreateContainerConfigError":
            return from_text(text, about) or Verdict.of(Reason.CONTAINER_NOT_STARTED, f"{about}: {text}")
        if reason in _NOT_STARTED:
            return Verdict.of(Reason.CONTAINER_NOT_STARTED, f"{about}: {text[:MAX_LOG_CHARS]}")
    return None


def _not_pulled(pod: Object, container: Object, about: str, events: list[Object], now: datetime) -> Verdict:
    waiting = container["state"]["waiting"]
    # The kubelet says the detail in one of two wordings in turn: what it stands for is stable, the words are not.
    failed = [str(e.get("message", "")) for e in events if e.get("reason") == "Failed" and _about(e, objects.name(pod))]
    known = sense("\n".join([str(waiting["reason"]), str(waiting.get("message", "")), *failed]), PULLS)
    return Verdict.of(Reason.IMAGE_PULL_FAILED, f"{about}: image {container.get('image')} cannot be pulled",
                      fix=known.fix if known else "", terminal=_age(pod, now) > IMAGE_PATIENCE)


def _about(event: Object, name: str) -> bool:
    return bool((event.get("involvedObject") or {}).get("name") == name)


def _newest(events: Iterable[Object]) -> str:
    known = sorted(events, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    return str(known[-1].get("message", ""))[:MAX_LOG_CHARS] if known else ""


def _from_events(events: Iterable[Object], name: str, where: str) -> Verdict | None:
    text = _newest(e for e in events if _about(e, name) and e.get("reason") not in _NO_EVIDENCE)
    return from_text(text, where) if text else None


def from_text(text: str, where: str) -> Verdict | None:
    """What a sentence of Kubernetes' stands for."""
    known = sense(text)
    return Verdict.of(known.reason, f"{where}: {text[:MAX_LOG_CHARS]}", fix=known.fix) if known else None


def no_pod(job: Object, events: Iterable[Object], where: str) -> Verdict | None:
    """Why a controller makes no pod: that exists only in its Events, and whatever it is, it must be said."""
    text = _newest(e for e in events if _about(e, objects.name(job)) and e.get("reason") == "FailedCreate")
    return (from_text(text, where) or Verdict.of(Reason.POD_REJECTED, f"{where}: {text}")) if text else None


def _no_volume(
    pod: Object, about: str, text: str, events: list[Object], claims: Iterable[Object], late: bool,
) -> Verdict | None:
    """Which of a pod's claims is not bound, and why: the scheduler does not say which one it is."""
    wanted = objects.claims_of(pod)
    pending = [claim for claim in claims if (claim.get("metadata") or {}).get("name") in wanted
               and objects.phase(claim) == "Pending"]
    said = [event for event in events if event.get("reason") != "WaitForFirstConsumer"]
    for claim in pending:
        if found := _from_events(said, objects.name(claim), f"claim {objects.name(claim)}"):
            return found
    if not late:
        return None
    for claim in pending:
        spec = claim.get("spec") or {}
        if not spec.get("storageClassName") and not spec.get("volumeName"):
            # The claim's controller says it in an Event that is no Warning.
            return from_text("no storage class is set, and no volume fits", f"claim {objects.name(claim)}")
    return Verdict.of(Reason.VOLUME_NOT_READY, f"{about}: {text}")


def failing_probe(pod: Object, events: Iterable[Object]) -> str:
    """What the newest probe that failed said; empty when none did."""
    return _newest(e for e in events if _about(e, objects.name(pod)) and e.get("reason") == "Unhealthy")


def lost(pod: Object, where: str, now: datetime) -> Verdict | None:
    """Is the pod's node gone? Only it, or a person, can say that the pod no longer writes."""
    due = objects.parse_time(pod["metadata"].get("deletionTimestamp"))
    if due is None or objects.ended(pod) or now - due < LOST_AFTER:
        return None
    node = pod["spec"].get("nodeName", "")
    text = f"{where}, pod {objects.name(pod)}: should have ended by {pod['metadata']['deletionTimestamp']}, and node " \
           f"{node} does not say that it has"
    return Verdict.of(Reason.NODE_LOST, text)


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
    end, tail = objects.terminated(pod, container), log_tail(log)
    code: Any = end.get("exitCode")
    words = said(str(end.get("message", "")))
    if found := out_of_memory(pod, where) or _put_out(pod, where):
        return found
    if reason := BY_EXIT_CODE.get(code):
        return Verdict.of(reason, f"{where}: {words or tail or f'exit code {code}'}")
    if code is None:
        text = objects.status(pod).get("message") or objects.status(pod).get("reason") or "the container never ran"
        return Verdict.of(Reason.CRASHED, f"{where}, pod {objects.name(pod)}: {text}")
    about = f"{where}, container {container}"
    if end.get("reason") in _NOT_STARTED:
        return Verdict.of(Reason.CONTAINER_NOT_STARTED, f"{about}: {words or f'exit code {code}'}")
    if _CHILD_KILLED.search(tail):
        limit = objects.limit_of(pod, container, "memory")
        text = f"{about}: a child was killed, most likely at the memory limit of {limit}; last log lines:\n{tail}"
        return Verdict.of(Reason.OUT_OF_MEMORY, text, terminal=False)
    text = f"{about}: exit code {_named(code)}; last log lines:\n{tail or words or 'there is no log to read'}"
    return Verdict.of(Reason.CRASHED, text, fix=fix_for(tail), terminal=False)


def fix_for(tail: str) -> str:
    """What helps against an end that a log's last lines explain; empty when they say nothing that we know."""
    known = sense(tail, LOGS)
    return known.fix if known else ""


def _put_out(pod: Object, where: str) -> Verdict | None:
    """Did the kubelet refuse the pod, or end it for what it took of the node?"""
    reason = str(objects.status(pod).get("reason", ""))
    if reason not in _PUT_OUT and not reason.startswith("OutOf"):
        return None
    text = f"{where}, pod {objects.name(pod)}: {objects.status(pod).get('message', reason)}"
    known = sense(text)
    if known and known.reason is Reason.DISK_FULL:
        return Verdict.of(known.reason, text, fix=known.fix)
    return Verdict.of(Reason.EVICTED, text, fix=known.fix if known and known.reason is Reason.EVICTED else "")


def _named(code: int) -> str:
    """The signal is what people know: 137 is SIGKILL."""
    try:
        return f"{code} ({Signals(code - 128).name})" if code > 128 else str(code)
    except ValueError:
        return str(code)


def said(message: str) -> str:
    """What our program says in its termination message."""
    try:
        found = json.loads(message)
    except (ValueError, RecursionError):
        return redact_text(message.strip())[:MAX_LOG_CHARS]
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
    if error.reason == "Conflict" and "conflict with" in error.message:
        return Verdict.of(Reason.FIELD_TAKEN, text)
    return from_text(error.message, f"{error.kind} {error.name}") or Verdict.of(Reason.POD_REJECTED, text)
