"""The next move of a run that is under way: start, wait, try again, hold, or end."""

from dataclasses import dataclass
from datetime import timedelta

from anneal_api.conditions import Reason, set_condition, timestamp
from anneal_api.finetunejob_status import FineTuneJobStatus
from anneal_api.run import Stage
from anneal_operator.decide import classify, objects
from anneal_operator.decide.classify import Verdict
from anneal_operator.decide.plan import Manifest
from anneal_operator.decide.progress import interval
from anneal_operator.decide.readiness import Outlook
from anneal_operator.decide.sight import Sight
from anneal_operator.decide.stages import CONDITIONS, begun, get, put, settle
from anneal_operator.decide.view import View
from anneal_operator.desired import run as run_children
from anneal_operator.desired import stage as stage_children
from anneal_operator.desired.names import LABEL_RUN
from anneal_operator.settings import PodSettings

BACKOFF_SECONDS = 10.0
POLL_SECONDS = 10.0
"""How often the world is asked whether it is ready now, and a train pod how far it is."""
SETTLE_SECONDS = 2.0
CHECK_SECONDS = 600.0
"""How often a run is looked at that only its pod, its spec and its deadline move. Events tell of the first two, and
LISTs of what they left out; ten thousand that are looked at once a minute take a third of a core."""


@dataclass(frozen=True)
class Move:
    """What a pass makes of a run."""

    status: FineTuneJobStatus
    outlook: Outlook
    creates: tuple[Manifest, ...] = ()
    requeue_after: float | None = None


def next_move(view: View, settings: PodSettings) -> Move:
    """Take in what is over, then decide about the stage that the run is at."""
    if any(objects.label(job, LABEL_RUN) != view.run.id for job in view.children.jobs):
        # Names repeat between runs, and two runs must not write side by side.
        text = "removing what is left of the previous run"
        return Move(view.status, Outlook("working", Reason.ACCEPTED, text), requeue_after=1.0)
    settled = settle(view)
    status, stage, seen = settled.status, settled.stage, settled.sight
    if stage is None:
        return _succeed(view, status)
    if limit := _over_limit(view, status, stage):
        return fail(view, status, stage, limit)
    if seen.state == "failed":
        assert seen.verdict is not None
        return _try_again(view, status, stage, seen.verdict)
    status = _clock(view, status)
    if view.spec.suspend:
        return _hold(view, status, stage, seen)
    if seen.state == "outdated":
        return _replace(status, stage)
    if seen.state == "absent":
        return _start(view, status, stage, settings)
    return _wait(view, status, stage, seen)


def _over_limit(view: View, status: FineTuneJobStatus, stage: Stage) -> Verdict | None:
    lost = sum(s.disruptions for s in status.stages)
    if lost > view.spec.retry.disruptions:
        text = f"stage {stage}: {lost} pods of the run were evicted or preempted; spec.retry.disruptions is " \
               f"{view.spec.retry.disruptions}"
        return Verdict.of(Reason.TOO_MANY_DISRUPTIONS, text)
    if view.run.start_time and not view.spec.suspend and not view.run.suspended_at and view.remaining < timedelta(0):
        return Verdict.of(Reason.DEADLINE_EXCEEDED, f"stage {stage}: spec.deadline of {view.spec.deadline} has passed")
    return None


def _clock(view: View, status: FineTuneJobStatus) -> FineTuneJobStatus:
    """Start and stop the time that the deadline does not count."""
    run = status.run or view.run
    since = objects.parse_time(run.suspended_at)
    if view.spec.suspend and since is None:
        run = run.model_copy(update={"suspended_at": timestamp(view.now)})
    if not view.spec.suspend and since is not None:
        spent = run.suspended_seconds + int((view.now - since).total_seconds())
        run = run.model_copy(update={"suspended_at": "", "suspended_seconds": spent})
    return status.model_copy(update={"run": run})


def _succeed(view: View, status: FineTuneJobStatus) -> Move:
    assert status.artifact is not None, "publish has ended, so there is an artifact"
    reused = get(status, Stage.PUBLISH).state == "Skipped"
    reason = Reason.ALREADY_PUBLISHED if reused else Reason.PUBLISHED
    text = f"{status.artifact.uri} {'already held' if reused else 'holds'} the {status.artifact.kind} of this run"
    run = (status.run or view.run).model_copy(update={"state": "Succeeded", "suspended_at": ""})
    conditions = set_condition(status.conditions, CONDITIONS[Stage.PUBLISH], "True", reason, text,
                               generation=view.generation, now=view.now)
    status = status.model_copy(update={"run": run, "conditions": list(conditions)})
    return Move(status, Outlook("done", reason, text), requeue_after=0.0)


def fail(view: View, status: FineTuneJobStatus, stage: Stage, verdict: Verdict) -> Move:
    """End the run."""
    status = put(status, stage, state="Failed", reason=verdict.reason, message=verdict.message,
                 finish_time=timestamp(view.now))
    run = (status.run or view.run).model_copy(update={"state": "Failed", "suspended_at": ""})
    conditions = set_condition(status.conditions, CONDITIONS[stage], "False", verdict.reason, verdict.message,
                               generation=view.generation, now=view.now)
    status = status.model_copy(update={"run": run, "conditions": list(conditions)})
    return Move(status, Outlook("failed", verdict.reason, verdict.message), requeue_after=0.0)


def _try_again(view: View, status: FineTuneJobStatus, stage: Stage, verdict: Verdict) -> Move:
    known, allowed = get(status, stage), view.spec.retry.failures
    if verdict.terminal:
        return fail(view, status, stage, verdict)
    if known.failures >= allowed:
        last = f"This was attempt {known.failures + 1} of {allowed + 1} (spec.retry.failures)."
        text = f"{verdict.message.rstrip('.')}.\n{last}"
        return fail(view, status, stage, Verdict(verdict.reason, text, terminal=True))
    text = f"attempt {known.failures + 1} of {allowed + 1}: {verdict.message}"
    status = put(status, stage, state="Running", attempt=known.attempt + 1, failures=known.failures + 1,
                 reason=Reason.RETRYING, message=text)
    return Move(status, Outlook("working", Reason.RETRYING, text), requeue_after=0.0)


def _replace(status: FineTuneJobStatus, stage: Stage) -> Move:
    """The attempt cannot start and the user asks for other resources now: make another Job, which is no failure."""
    text = f"stage {stage}: its Job is made anew with the changed resources"
    status = put(status, stage, attempt=get(status, stage).attempt + 1, reason=Reason.RETRYING, message=text)
    return Move(status, Outlook("working", Reason.RUNNING, text), requeue_after=0.0)


def _hold(view: View, status: FineTuneJobStatus, stage: Stage, seen: Sight) -> Move:
    if seen.state == "settling":
        return Move(status, Outlook("working", Reason.RUNNING, seen.message), requeue_after=SETTLE_SECONDS)
    if seen.state != "absent":
        # First the status, then the deletion: after a crash in between the next attempt has the same number.
        text = f"stage {stage}: the pod saves a checkpoint and ends, because spec.suspend is true"
        status = put(status, stage, attempt=get(status, stage).attempt + 1, reason=Reason.RUNNING, message=text)
        return Move(status, Outlook("working", Reason.RUNNING, text), requeue_after=0.0)
    if view.live_pods(stage) or _unfinished(view, stage):
        text = f"stage {stage}: the pod saves a checkpoint and ends, because spec.suspend is true"
        return Move(status, Outlook("working", Reason.RUNNING, text), requeue_after=POLL_SECONDS)
    text = f"spec.suspend is true; stage {stage} goes on when it is false"
    status = put(status, stage, state="Pending", reason=Reason.SUSPENDED, message=text)
    return Move(status, Outlook("held", Reason.SUSPENDED, text))


def _unfinished(view: View, stage: Stage) -> bool:
    return any(objects.job_end(job) is None for job in view.jobs(stage))


def _start(view: View, status: FineTuneJobStatus, stage: Stage, settings: PodSettings) -> Move:
    if missing := _missing(view, stage):
        return _waiting(status, stage, missing)
    if view.live_pods(stage) or _unfinished(view, stage):
        lost = [found for pod in view.live_pods(stage) if (found := classify.lost(pod, f"stage {stage}", view.now))]
        if lost:
            return _waiting(status, stage, lost[0])
        text = f"stage {stage}: waiting for the pod of the attempt before to end"
        return Move(status, Outlook("working", Reason.RETRYING, text), requeue_after=POLL_SECONDS)
    if (pause := _pause(view, status, stage)) > 0:
        return Move(status, Outlook("working", Reason.RETRYING, get(status, stage).message), requeue_after=pause)
    attempt = get(status, stage).attempt
    creates = (*_shared(view), *_children(view, stage, attempt, settings))
    if refusal := _refusal(view, creates):
        return (fail(view, status, stage, refusal) if refusal.terminal
                else _waiting(status, stage, refusal, creates=creates))
    status = begun(view, status, stage, creates[-1])
    return Move(status, Outlook("working", Reason.RUNNING, get(status, stage).message), creates, POLL_SECONDS)


def _refusal(view: View, creates: tuple[Manifest, ...]) -> Verdict | None:
    return classify.refused(view.facts.write_errors, {(m["kind"], objects.name(m)) for m in creates})


def _missing(view: View, stage: Stage) -> Verdict | None:
    """Objects of the user's that the run's first pod would wait for in vain; it mounts what all others do."""
    if stage is not Stage.PREPARE:
        return None
    found, spec = view.facts.found, view.spec
    for name in stage_children.claims_of(spec, stage):
        if name not in found.claims:
            text = f"stage {stage}: PersistentVolumeClaim {name!r} does not exist in namespace {view.owner.namespace}"
            return Verdict.of(Reason.CLAIM_NOT_FOUND, text)
    if reference := spec.template.config_map_ref:
        text = f"stage {stage}: ConfigMap {reference.name!r} of spec.template.configMapRef"
        if reference.name not in found.config_maps:
            return Verdict.of(Reason.CONFIG_MAP_NOT_FOUND, f"{text} does not exist in namespace {view.owner.namespace}")
        if reference.key not in (found.config_maps[reference.name].get("data") or {}):
            return Verdict.of(Reason.CONFIG_MAP_NOT_FOUND, f"{text} has no key {reference.key!r}")
    return None


def _waiting(status: FineTuneJobStatus, stage: Stage, verdict: Verdict, creates: tuple[Manifest, ...] = ()) -> Move:
    status = put(status, stage, reason=verdict.reason, message=verdict.message)
    return Move(status, Outlook("working", verdict.reason, verdict.message), creates, POLL_SECONDS)


def _pause(view: View, status: FineTuneJobStatus, stage: Stage) -> float:
    """Seconds before the next attempt: twice as long after each failure."""
    known = get(status, stage)
    last = view.job(stage, known.attempt - 1)
    ended = objects.job_end_time(last) if last else None
    if ended is None or known.failures == 0:
        return 0.0
    return float(BACKOFF_SECONDS * 2 ** (known.failures - 1) - (view.now - ended).total_seconds())


def _shared(view: View) -> tuple[Manifest, ...]:
    """What all stages share, as far as it is not there."""
    owner, spec, run = view.owner, view.spec, view.run.id
    wanted = ((run_children.workspace_name, run_children.workspace),
              (run_children.config_map_name, run_children.config_map))
    there = {objects.name(obj) for obj in (*view.children.claims, *view.children.config_maps)}
    return tuple(make(owner, spec, run) for name, make in wanted if name(owner, run) not in there)


def _children(view: View, stage: Stage, attempt: int, settings: PodSettings) -> tuple[Manifest, ...]:
    job = stage_children.job(view.owner, view.spec, view.run.id, stage, attempt, settings)
    if stage is not Stage.EVALUATE:
        return (job,)
    return (stage_children.serve_config(view.owner, view.spec, view.run.id, attempt), job)


def _wait(view: View, status: FineTuneJobStatus, stage: Stage, seen: Sight) -> Move:
    """The attempt runs, starts, or waits for the world."""
    verdict = seen.verdict
    text = verdict.message if verdict else seen.message
    if seen.job:
        status = begun(view, status, stage, seen.job)
    status = put(status, stage, state="Running", reason=seen.reason, message=text)
    poll = interval(objects.parse_time(get(status, stage).start_time), view.now).total_seconds()
    requeue = {"settling": SETTLE_SECONDS, "waiting": poll}.get(seen.state, CHECK_SECONDS)
    if stage is Stage.TRAIN or _moved_by_time(seen):
        requeue = min(requeue, poll)
    return Move(status, Outlook("working", seen.reason, text), _shared(view), _bounded(view, requeue))


def _moved_by_time(seen: Sight) -> bool:
    """Does it come to be said that it takes too long to start, or to end?"""
    return seen.pod is None or objects.phase(seen.pod) == "Pending" or objects.deleting(seen.pod)


def _bounded(view: View, requeue: float) -> float:
    left = view.remaining.total_seconds() if view.run.start_time else requeue
    return max(1.0, min(requeue, left + 1.0))
