"""How one attempt at one stage stands, seen from its Job and its pods."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from anneal_api.conditions import Reason
from anneal_api.run import Stage, StageResult
from anneal_operator.decide import classify, objects
from anneal_operator.decide.classify import Verdict
from anneal_operator.decide.facts import Object
from anneal_operator.decide.view import View
from anneal_operator.desired.stage import ANNOTATION_RESOURCES, ENGINE, MAIN, SMALL, asked

SETTLE = timedelta(seconds=30)
"""Job and Pod reach us by two watches: how long the end of one waits for the end of the other."""
MAX_ENGINE_RESTARTS = 3
JOB_PATIENCE, POD_PATIENCE = timedelta(seconds=10), timedelta(seconds=30)
"""So long a Job waits for its pod, and a pod for its start, without a word about it: clouds take 10 to 30 s to attach a
volume. With a thousand runs at once each needless patch and each search for Events costs a thousand requests."""


def made_text(stage: Stage, job: str) -> str:
    """What is said about a Job without pods."""
    return f"stage {stage}: Job {job} was made"


@dataclass(frozen=True)
class Sight:
    """What there is of an attempt.

    absent: no Job. working: it runs or starts. waiting: something outside keeps it from starting. settling: the Job
    has ended but its pod's last state is not here yet.
    outdated: it cannot start, and the spec now asks for other resources.
    """

    state: Literal["absent", "working", "waiting", "settling", "outdated", "succeeded", "failed"]
    message: str = ""
    verdict: Verdict | None = None
    result: StageResult | None = None
    pod: Object | None = None
    job: Object | None = None

    @property
    def reason(self) -> Reason:
        """The reason in one word."""
        return self.verdict.reason if self.verdict else Reason.RUNNING


def look(view: View, stage: Stage) -> Sight:
    """The current attempt at a stage."""
    job = view.job(stage, view.stage(stage).attempt)
    if job is None or objects.deleting(job):
        return Sight("absent")
    pods = objects.pods_of(view.children.pods, objects.name(job))
    match objects.job_end(job):
        case "Complete":
            return _complete(view, stage, job, pods)
        case "Failed":
            return _failed(view, stage, job, pods)
        case None:
            return _under_way(view, stage, job, pods)


def _complete(view: View, stage: Stage, job: Object, pods: list[Object]) -> Sight:
    pod = next((pod for pod in reversed(pods) if objects.phase(pod) == "Succeeded"), None)
    if pod is None and _fresh(view, job):
        return Sight("settling", f"stage {stage}: its Job ended; waiting for the pod's result", job=job)
    result = _result(pod, stage, view.owner.uid) if pod else None
    if result is None:
        text = f"stage {stage}, Job {objects.name(job)}: ended with success, but its result cannot be read"
        return Sight("failed", verdict=Verdict.of(Reason.RESULT_MISSING, text), pod=pod, job=job)
    return Sight("succeeded", result=result, pod=pod, job=job)


def _result(pod: Object, stage: Stage, uid: str) -> StageResult | None:
    try:
        result = StageResult.model_validate_json(objects.terminated(pod, MAIN).get("message") or "")
    except ValueError:
        return None
    complete = getattr(result, stage.value) is not None
    return result if (result.stage, result.uid) == (stage, uid) and complete else None


def _fresh(view: View, job: Object) -> bool:
    end = objects.job_end_time(job)
    return end is not None and view.now - end < SETTLE


def _failed(view: View, stage: Stage, job: Object, pods: list[Object]) -> Sight:
    pod = next((p for p in reversed(pods) if objects.phase(p) == "Failed" and not objects.disrupted(p, MAIN)), None)
    if pod is None and _fresh(view, job):
        return Sight("settling", f"stage {stage}: its Job failed; waiting for the pod's last state", job=job)
    if pod is None:
        said = objects.condition(job, "Failed").get("message", "")
        verdict = Verdict.of(Reason.CRASHED, f"stage {stage}, Job {objects.name(job)}: {said}; its pod is gone")
    else:
        verdict = _why_ended(view, stage, pod)
    return Sight("failed", verdict=verdict, pod=pod, job=job)


def _why_ended(view: View, stage: Stage, pod: Object) -> Verdict:
    verdict = classify.ended_badly(pod, MAIN, f"stage {stage}", _log(view, pod, MAIN))
    if verdict.reason is Reason.CRASHED and (engine := classify.log_tail(_log(view, pod, ENGINE))):
        what = verdict.message.partition(" Fix: ")[0]
        text = f"{what}\nlast log lines of container {ENGINE}:\n{engine}"
        return Verdict.of(verdict.reason, text, fix=classify.fix_for(engine), terminal=verdict.terminal)
    if verdict.reason is not Reason.OUT_OF_MEMORY or stage not in SMALL:
        return verdict
    what = verdict.message.partition(". Fix:")[0]
    return Verdict.of(verdict.reason, f"{what}, which this stage has whatever spec.resources says. "
                                      "Fix: train on fewer or shorter rows, and report it")


def _log(view: View, pod: Object, container: str) -> str:
    return view.facts.found.logs.get((objects.name(pod), container), "")


def _under_way(view: View, stage: Stage, job: Object, pods: list[Object]) -> Sight:
    live = [pod for pod in pods if not objects.ended(pod)]
    if not live:
        return _without_pod(view, stage, job, pods)
    pod = live[-1]
    if lost := classify.lost(pod, f"stage {stage}", view.now):
        return Sight("waiting", verdict=lost, pod=pod, job=job)
    if broken := _broken(view, stage, pod):
        return Sight("failed", verdict=broken, pod=pod, job=job)
    if objects.phase(pod) == "Running":
        return Sight("working", f"stage {stage}: pod {objects.name(pod)} is running", pod=pod, job=job)
    verdict = _why_pending(view, stage, pod)
    if verdict is None and (young(pod, view.now) or classify.lacks_volume(pod)):
        return Sight("working", made_text(stage, objects.name(job)), pod=pod, job=job)
    return _held_up(view, stage, job, verdict, pod) if verdict else Sight(
        "working", f"stage {stage}: pod {objects.name(pod)} is starting", pod=pod, job=job)


def young(obj: Object, now: datetime) -> bool:
    """Was this Job or pod made only just now?"""
    made = objects.parse_time(obj["metadata"].get("creationTimestamp"))
    return made is not None and now - made < (POD_PATIENCE if "containers" in obj.get("spec", {}) else JOB_PATIENCE)


def _without_pod(view: View, stage: Stage, job: Object, pods: list[Object]) -> Sight:
    if pods and objects.disrupted(pods[-1], MAIN):
        why = objects.disruption(pods[-1])
        text = f"stage {stage}: pod {objects.name(pods[-1])} was evicted or preempted{f' ({why})' if why else ''}; " \
               "its Job makes another"
        return Sight("waiting", verdict=Verdict.of(Reason.PREEMPTED, text), job=job)
    if pods:
        # The Job controller is about to say how it ended: until then there is nothing new to tell.
        said = view.stage(stage).message or made_text(stage, objects.name(job))
        return Sight("working", said, pod=pods[-1], job=job)
    verdict = classify.no_pod(job, view.facts.found.events, f"stage {stage}, Job {objects.name(job)}")
    return _held_up(view, stage, job, verdict) if verdict else Sight(
        "working", made_text(stage, objects.name(job)), job=job)


def _held_up(view: View, stage: Stage, job: Object, verdict: Verdict, pod: Object | None = None) -> Sight:
    if verdict.terminal:
        return Sight("failed", verdict=verdict, pod=pod, job=job)
    wanted = (job["metadata"].get("annotations") or {}).get(ANNOTATION_RESOURCES)
    return Sight("waiting" if wanted == asked(view.spec, stage) else "outdated", verdict=verdict, pod=pod, job=job)


def _why_pending(view: View, stage: Stage, pod: Object) -> Verdict | None:
    claims = (*view.children.claims, *view.facts.found.claims.values())
    return classify.stuck(pod, view.facts.found.events, f"stage {stage}", view.now, claims)


def _broken(view: View, stage: Stage, pod: Object) -> Verdict | None:
    """A sidecar that dies is started again for ever, so its pod never fails by itself."""
    engine = objects.container_status(pod, ENGINE)
    if killed := classify.out_of_memory(pod, f"stage {stage}"):
        return killed
    if int(engine.get("restartCount", 0)) < MAX_ENGINE_RESTARTS:
        return None
    tail = classify.log_tail(_log(view, pod, ENGINE)) or "there is no log to read"
    text = f"stage {stage}, container {ENGINE}: ended {engine['restartCount']} times; last log lines:\n{tail}"
    return Verdict.of(Reason.SERVER_CRASHED, text, fix=classify.fix_for(tail))
