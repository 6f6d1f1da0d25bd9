"""Decide about a FineTuneJob: which children it needs now, and what its status says."""

from dataclasses import replace
from datetime import datetime
from typing import Literal

from pydantic import ValidationError

from anneal_api.conditions import (
    Condition,
    Reason,
    find_condition,
    set_condition,
    timestamp,
)
from anneal_api.finetunejob_status import FineTuneJobStatus, RunState, StageStatus
from anneal_api.run import Stage
from anneal_operator.decide import objects, progress, unsupported
from anneal_operator.decide.course import Move, next_move
from anneal_operator.decide.facts import Children, Facts, LogRequest, Needs, Object
from anneal_operator.decide.plan import Delete, Event, Plan
from anneal_operator.decide.readiness import Outlook, announce, first_line, note, summarise
from anneal_operator.decide.sight import Sight, look, young
from anneal_operator.decide.stages import CONDITIONS, current, fresh, get, settle
from anneal_operator.decide.view import View
from anneal_operator.desired.names import LABEL_ATTEMPT, LABEL_RUN, LABEL_STAGE
from anneal_operator.desired.run import run_id
from anneal_operator.desired.stage import ENGINE, MAIN, claims_of
from anneal_operator.settings import PodSettings

PHASES = {Stage.PREPARE: "Preparing", Stage.TRAIN: "Training", Stage.EVALUATE: "Evaluating",
          Stage.PUBLISH: "Publishing"}

LAST_LINES = 60
"""Of a container that failed. The limit in bytes counts from the first of these lines, and the last ones matter."""


def needs(resource: Object, children: Children, now: datetime) -> Needs:
    """What the next decision must read besides the children."""
    try:
        view = _first_run(View.of(Facts(resource, children), now))
    except ValidationError:
        return Needs()
    if objects.deleting(resource) or view.needs_new_run or view.run.state != "Running":
        return Needs()
    settled = settle(view)
    if settled.stage is None:
        return Needs(logs=_logs(view))
    return Needs(
        claims=_claims(view, settled.stage, settled.sight),
        config_maps=_template(view) if settled.stage is Stage.PREPARE else (),
        events_of=_stuck(settled.sight, now), logs=_logs(view))


def _claims(view: View, stage: Stage, seen: Sight) -> tuple[str, ...]:
    """Before the run, whether its claims are there; while a pod has no node, what its claims wait for.

    The first stage mounts what all others do; a claim that is deleted after it is what their pods say they wait for.
    """
    if seen.state == "absent":
        return tuple(claims_of(view.spec, stage)) if stage is Stage.PREPARE else ()
    if seen.pod is None or young(seen.pod, view.now):
        return ()
    own = {objects.name(claim) for claim in view.children.claims}
    return tuple(name for name in objects.unplaced_claims(seen.pod) if name not in own)


def _template(view: View) -> tuple[str, ...]:
    reference = view.spec.template.config_map_ref
    return (reference.name,) if reference else ()


def _stuck(seen: Sight, now: datetime) -> tuple[str, ...]:
    """Whose Warning events may explain why nothing moves."""
    if seen.state not in ("working", "waiting", "outdated") or seen.job is None:
        return ()
    if seen.state == "working" and young(seen.pod or seen.job, now):
        return ()
    if seen.pod is None:
        return (objects.name(seen.job),)
    if objects.phase(seen.pod) != "Pending":
        return ()
    return (objects.name(seen.pod), *objects.unplaced_claims(seen.pod))


def _logs(view: View) -> tuple[LogRequest, ...]:
    """The log of the current attempt: how far training is, or the last words of what ended."""
    stage = current(view.status)
    seen = look(view, stage) if stage else Sight("absent")
    if stage is None or seen.pod is None:
        return ()
    name = objects.name(seen.pod)
    if seen.state == "failed" and not objects.ended(seen.pod):
        return (LogRequest(name, ENGINE, previous=True, tail_lines=LAST_LINES),)
    started = objects.container_status(seen.pod, MAIN).get("state") or {}
    since = objects.parse_time(get(view.status, stage).start_time)
    running = "running" in started and stage is Stage.TRAIN and progress.due(view.status.progress, since, view.now)
    final = seen.state == "succeeded" and stage is Stage.TRAIN
    if seen.state == "failed":
        return (LogRequest(name, MAIN, tail_lines=LAST_LINES), *_engine_log(seen.pod))
    return (LogRequest(name, MAIN),) if running or final else ()


def _engine_log(pod: Object) -> tuple[LogRequest, ...]:
    """The engine's last words: when it ends, the evaluator beside it can only say that nobody answers."""
    engine = objects.container_status(pod, ENGINE)
    restarted = int(engine.get("restartCount") or 0) > 0
    return (LogRequest(objects.name(pod), ENGINE, restarted, LAST_LINES),) if engine else ()


def plan(facts: Facts, now: datetime, settings: PodSettings) -> Plan:
    """One pass."""
    if objects.deleting(facts.resource):
        return Plan()
    try:
        view = _first_run(View.of(facts, now))
    except ValidationError as error:
        return unsupported.plan(facts.resource, unsupported.field(error), now)
    if view.needs_new_run:
        # Said before anything is deleted or made for it: what is left of the run before goes once nobody can go back.
        return Plan(status=_begin(view).to_wire(), requeue_after=0.0)
    move = next_move(view, settings) if view.run.state == "Running" else _rest(view)
    status = _complete(view, move)
    return Plan(deletes=_deletes(view), creates=move.creates, status=status.to_wire(),
                events=_events(view, status, move.outlook), requeue_after=move.requeue_after)


def _first_run(view: View) -> View:
    """A resource without a run begins one, and the status of its first Job says so.

    Should the operator end in between, names and labels of what was made tell of which run it is: the same is found
    again, and what an edit has made obsolete meanwhile is removed.
    """
    return view if view.status.run else replace(view, status=_begin(view))


def _begin(view: View) -> FineTuneJobStatus:
    """A new run is under way: from here on its run fields are fixed."""
    run = RunState(id=run_id(view.spec, view.generation), generation=view.generation, state="Running")
    timeline = note([], "created", view.created) if view.status.run is None else []
    status = FineTuneJobStatus(run=run, stages=fresh(), phase="Pending",
                               timeline=note(timeline, "accepted", timestamp(view.now)))
    kept = [c for c in view.status.conditions if c.type not in CONDITIONS.values()]
    return status.model_copy(update={
        "observed_generation": view.generation,
        "conditions": list(summarise(kept, Outlook("working", Reason.ACCEPTED, _begins(run)), view.generation,
                                     view.now))})


def _rest(view: View) -> Move:
    """The run is over: say the same again, about this generation."""
    stage = current(view.status) or Stage.PUBLISH
    # Not from Ready: UnsupportedSpec may have been said over a finished run.
    end = find_condition(view.status.conditions, CONDITIONS[stage])
    assert end is not None, "a run ends with the condition of its last stage"
    state: Literal["failed", "done"] = "failed" if view.run.state == "Failed" else "done"
    return Move(view.status, Outlook(state, Reason(end.reason), end.message))


def _complete(view: View, move: Move) -> FineTuneJobStatus:
    """The whole status: stage conditions, the summary for kstatus, the phase for people."""
    conditions = move.status.conditions
    stage = current(move.status)
    if stage and move.status.run and move.status.run.state == "Running" and get(move.status, stage).start_time:
        conditions = list(set_condition(conditions, CONDITIONS[stage], "Unknown", move.outlook.reason,
                                        move.outlook.message, generation=view.generation, now=view.now))
    observed: list[Condition] = [c.model_copy(update={"observed_generation": view.generation}) for c in conditions]
    return move.status.model_copy(update={
        "observed_generation": view.generation, "phase": _phase(move),
        "conditions": list(summarise(observed, move.outlook, view.generation, view.now))})


def _phase(move: Move) -> str:
    if move.outlook.state == "done":
        return "Succeeded"
    if move.outlook.state == "failed":
        return "Failed"
    if move.outlook.state == "held":
        return "Suspended"
    stage = current(move.status)
    return PHASES[stage] if stage and get(move.status, stage).start_time else "Pending"


def _deletes(view: View) -> tuple[Delete, ...]:
    """What the status, as it was before this pass, has already given up."""
    mine = (*view.children.jobs, *view.children.config_maps, *view.children.claims)
    doomed = [obj for obj in mine if objects.label(obj, LABEL_RUN) != view.run.id]
    doomed += [job for job in view.children.jobs if objects.job_end(job) is None and _superseded(view, job)]
    if view.run.state != "Running" and not _keeps_workspace(view):
        doomed += [claim for claim in view.children.claims if objects.label(claim, LABEL_RUN) == view.run.id]
    unique = {objects.uid(obj): obj for obj in doomed if not objects.deleting(obj)}
    return tuple(Delete(obj["apiVersion"], obj["kind"], objects.name(obj), objects.uid(obj)) for obj in unique.values())


def _superseded(view: View, job: Object) -> bool:
    if view.run.state != "Running":
        return True
    attempts = {stage.name: stage.attempt for stage in view.status.stages}
    return int(objects.label(job, LABEL_ATTEMPT) or 0) < attempts.get(objects.label(job, LABEL_STAGE), 0)


def _keeps_workspace(view: View) -> bool:
    retain = view.spec.workspace.retain
    return retain == "Always" or (retain == "OnFailure" and view.run.state == "Failed")


def _events(view: View, status: FineTuneJobStatus, outlook: Outlook) -> tuple[Event, ...]:
    """What has happened to the stages, in one Event: each is a write, and a transition is one thing to a reader."""
    found = _told([*_accepted(view, status), *(event for old, new in zip(view.status.stages, status.stages, strict=True)
                                            if (event := _stage_event(old, new)))])
    for mark in progress.passed(view.status.progress, status.progress):
        assert status.progress is not None
        loss = "" if status.progress.loss is None else f", loss {status.progress.loss:.4g}"
        found.append(Event("Normal", Reason.RUNNING,
                           f"stage train: more than {mark}% done, {status.progress.summary}{loss}"))
    if outlook.reason not in (Reason.RUNNING, Reason.RETRYING):
        found += announce(view.status.conditions, status.conditions, outlook)
    return tuple(found)


def _accepted(view: View, status: FineTuneJobStatus) -> tuple[Event, ...]:
    """That the run has its first Job."""
    if view.run.start_time or status.run is None or not status.run.start_time:
        return ()
    return (Event("Normal", Reason.ACCEPTED, _begins(view.run)),)


def _begins(run: RunState) -> str:
    return f"run {run.id} of generation {run.generation} begins"


def _told(events: list[Event]) -> list[Event]:
    """One Event instead of several that are Normal, under the reason of the first."""
    normal = [event for event in events if event.type == "Normal"]
    text = "; ".join(event.message for event in normal)
    return [*(event for event in events if event.type != "Normal"),
            *(Event("Normal", event.reason, first_line(text)) for event in normal[:1])]


def _stage_event(old: StageStatus, new: StageStatus) -> Event | None:
    if new.attempt > old.attempt and new.reason == Reason.RETRYING:
        return Event("Warning", Reason.RETRYING, first_line(new.message))
    if old.state == new.state:
        return None
    if new.state == "Succeeded":
        if new.name == Stage.PUBLISH:
            return None  # what the whole has come to says it
        return Event("Normal", Reason.STAGE_SUCCEEDED, f"stage {new.name} is done")
    said = {"Running": Reason.RUNNING, "Skipped": Reason.SKIPPED}.get(new.state)
    return Event("Normal", said, first_line(new.message)) if said else None


