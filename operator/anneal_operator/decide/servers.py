"""How the pods of one revision stand."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from anneal_api.conditions import Reason
from anneal_api.serve import parse_verified
from anneal_operator.decide import classify, objects
from anneal_operator.decide.classify import Verdict
from anneal_operator.decide.facts import Children, Facts, LogRequest, Object
from anneal_operator.decide.resolve import INVALID
from anneal_operator.desired.names import LABEL_REVISION
from anneal_operator.desired.serving import SERVER, START_SECONDS

MAX_RESTARTS = 3
FIRST_TOKEN = "firstToken"
"""The last moment of a start that the pods know."""
BEGINNING_BYTES = 8192
"""Where a server's log says that its files are as pinned: before anything that the engine says."""
_BROKEN = (Reason.OUT_OF_MEMORY, Reason.ARTIFACT_INVALID, Reason.SERVER_CRASHED, Reason.SERVER_NOT_READY)


@dataclass(frozen=True)
class Servers:
    """One revision's Deployment and pods."""

    deployment: Object | None
    pods: tuple[Object, ...]

    @property
    def ready(self) -> int:
        """Pods that have completed a prompt."""
        return int(objects.status(self.deployment).get("readyReplicas") or 0) if self.deployment else 0

    def all_ready(self, wanted: int) -> bool:
        """Is the Deployment exactly as wanted, by its controller's newest word?"""
        if self.deployment is None:
            return False
        status = objects.status(self.deployment)
        seen = int(status.get("observedGeneration") or 0) >= int(self.deployment["metadata"].get("generation") or 0)
        counts = [int(status.get(key) or 0) for key in ("replicas", "updatedReplicas", "readyReplicas")]
        return seen and counts == [wanted] * 3 and self.deployment["spec"].get("replicas") == wanted


def verified(found: Servers, facts: Facts) -> bool:
    """Has every file been checked in some pod?"""
    return found.ready > 0 or any(_verified_at(pod, facts) for pod in found.pods)


def restarted(found: Servers) -> bool:
    """Has a server ended and been started again?"""
    return any(_restarts(pod) for pod in found.pods)


def moments(found: Servers, facts: Facts) -> Iterator[tuple[str, str]]:
    """When the first server began, had checked its files, and had completed a prompt; as far as known."""
    times = {
        "serverStarted": [_started_at(pod) for pod in found.pods],
        "weightsVerified": [_verified_at(pod, facts) for pod in found.pods],
        # A server is Ready when its startup probe has had a prompt answered, see anneal_server/probe.py.
        FIRST_TOKEN: [str(objects.condition(pod, "Ready").get("lastTransitionTime", "")) for pod in found.pods
                       if _is_ready(pod)],
    }
    for event, known in times.items():
        if first := min((time for time in known if time), default=""):
            yield event, first


def servers(children: Children, revision: str) -> Servers:
    """Those of one revision."""
    def mine(obj: Object) -> bool:
        return objects.label(obj, LABEL_REVISION) == revision

    pods = sorted((p for p in children.pods if mine(p) and not objects.deleting(p)), key=objects.name)
    return Servers(next((d for d in children.deployments if mine(d)), None), tuple(pods))


def log_requests(found: Servers, *, answered: bool) -> tuple[LogRequest, ...]:
    """The last words of servers that end again and again, and what those that start say of their files.

    `answered`: the timeline has its first token already, so that servers that are Ready have nothing to add to it.
    """
    failing = [pod for pod in found.pods if _restarts(pod) >= MAX_RESTARTS]
    starting = [pod for pod in found.pods
                if pod not in failing and _started_at(pod) and not (answered and _is_ready(pod))]
    return (*(LogRequest(objects.name(pod), SERVER, previous=True, tail_lines=60) for pod in failing),
            *(LogRequest(objects.name(pod), SERVER, tail_lines=None, limit_bytes=BEGINNING_BYTES) for pod in starting))


def watched(found: Servers, now: datetime) -> tuple[str, ...]:
    """Pods, and claims of theirs, whose Warning events may explain why they do not start or answer."""
    waiting = [pod for pod in found.pods if objects.phase(pod) == "Pending"]
    silent = [pod for pod in found.pods if not _is_ready(pod) and (_overdue(pod, now) or _restarts(pod))]
    return tuple(dict.fromkeys([*(objects.name(pod) for pod in (*waiting, *silent)), *unbound(found)]))


def unbound(found: Servers) -> tuple[str, ...]:
    """Claims of pods without a node."""
    return tuple(dict.fromkeys(name for pod in found.pods for name in objects.unplaced_claims(pod)))


def trouble(found: Servers, facts: Facts, where: str, now: datetime) -> Verdict | None:
    """The worst that is wrong; None when the servers are simply starting."""
    verdicts = [verdict for pod in found.pods if not _is_ready(pod) and (verdict := _of_pod(pod, facts, where, now))]
    if not found.pods and found.deployment and objects.is_true(found.deployment, "ReplicaFailure"):
        text = str(objects.condition(found.deployment, "ReplicaFailure").get("message", ""))
        verdicts.append(classify.from_text(text, where) or Verdict.of(Reason.POD_REJECTED, f"{where}: {text}"))
    return min(verdicts, key=lambda verdict: not broken(verdict), default=None)


def broken(verdict: Verdict) -> bool:
    """Is it of the servers' own making, so that waiting will not help?"""
    return verdict.terminal or verdict.reason in _BROKEN


def _is_ready(pod: Object) -> bool:
    return objects.is_true(pod, "Ready")


def _started_at(pod: Object) -> str:
    running = (objects.container_status(pod, SERVER).get("state") or {}).get("running") or {}
    return str(running.get("startedAt", ""))


def _verified_at(pod: Object, facts: Facts) -> str:
    log = facts.found.logs.get((objects.name(pod), SERVER), "")
    return next((found.time for line in log.splitlines() if (found := parse_verified(line))), "")


def _restarts(pod: Object) -> int:
    return int(objects.container_status(pod, SERVER).get("restartCount") or 0)


def _last_end(pod: Object) -> Object:
    status = objects.container_status(pod, SERVER)
    found: Object = next((end for state in ("state", "lastState")
                          if (end := (status.get(state) or {}).get("terminated"))), {})
    return found


def _of_pod(pod: Object, facts: Facts, where: str, now: datetime) -> Verdict | None:
    end = _last_end(pod)
    if end.get("exitCode") in INVALID and not _verified_at(pod, facts):
        text = classify.said(str(end.get("message", ""))) or "the files differ from the manifest"
        return Verdict.of(Reason.ARTIFACT_INVALID, f"{where}: {text}")
    return (classify.out_of_memory(pod, where) or _crashed(pod, facts, where)
            or classify.stuck(pod, facts.found.events, where, now, facts.found.claims.values())
            or _slow(pod, facts, where, now))


def _crashed(pod: Object, facts: Facts, where: str) -> Verdict | None:
    if _restarts(pod) < MAX_RESTARTS:
        return None
    log = facts.found.logs.get((objects.name(pod), SERVER), "")
    tail = classify.log_tail(log) or classify.said(str(_last_end(pod).get("message", "")))
    # Without the count: a status that changes with every restart tells nothing more.
    often = f"{where}, container {SERVER}: ended {MAX_RESTARTS} times or more{_probe(pod, facts)}"
    return Verdict.of(Reason.SERVER_CRASHED, f"{often}; last log lines:\n{tail}", fix=classify.fix_for(tail))


def _probe(pod: Object, facts: Facts) -> str:
    said = classify.failing_probe(pod, facts.found.events)
    return f"; {said}" if said else ""


def _overdue(pod: Object, now: datetime) -> bool:
    since = objects.parse_time(objects.condition(pod, "PodScheduled").get("lastTransitionTime"))
    return since is not None and (now - since).total_seconds() >= START_SECONDS


def _slow(pod: Object, facts: Facts, where: str, now: datetime) -> Verdict | None:
    if not _overdue(pod, now):
        return None
    text = f"{where}, pod {objects.name(pod)}: has not completed a prompt within {START_SECONDS // 60} minutes"
    return Verdict.of(Reason.SERVER_NOT_READY, f"{text}{_probe(pod, facts)}")
