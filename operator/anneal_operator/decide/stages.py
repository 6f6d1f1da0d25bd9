"""What happened to the stages since the last pass: results are taken in, skipped stages are passed over."""

from dataclasses import dataclass, replace
from typing import Any

from anneal_api.conditions import ConditionType, Reason, set_condition, timestamp
from anneal_api.finetunejob import FineTuneJobSpec
from anneal_api.finetunejob_status import FineTuneJobStatus, StageStatus
from anneal_api.run import Stage, StageResult, first_step_time, last_progress
from anneal_operator.decide import objects, progress
from anneal_operator.decide.facts import Object
from anneal_operator.decide.readiness import note
from anneal_operator.decide.sight import Sight, look, made_text
from anneal_operator.decide.view import View
from anneal_operator.desired.stage import MAIN

CONDITIONS = {
    Stage.PREPARE: ConditionType.DATA_VALID, Stage.TRAIN: ConditionType.TRAINED,
    Stage.EVALUATE: ConditionType.EVALUATED, Stage.PUBLISH: ConditionType.PUBLISHED,
}
OVER = ("Succeeded", "Skipped")
MAX_DISRUPTED = 32


def current(status: FineTuneJobStatus) -> Stage | None:
    """The first stage that is not over."""
    return next((Stage(stage.name) for stage in status.stages if stage.state not in OVER), None)


def get(status: FineTuneJobStatus, stage: Stage) -> StageStatus:
    """The status of a stage."""
    return next(s for s in status.stages if s.name == stage)


def put(status: FineTuneJobStatus, stage: Stage, **changes: Any) -> FineTuneJobStatus:
    """The status with changes to one stage; messages are cut to what the API allows."""
    if "message" in changes:
        changes["message"] = changes["message"][:1024]
    stages = [s.model_copy(update=changes) if s.name == stage else s for s in status.stages]
    return status.model_copy(update={"stages": stages})


@dataclass(frozen=True)
class Settled:
    """The status with everything that is over taken in, and the stage that the run is at, if any is left."""

    status: FineTuneJobStatus
    stage: Stage | None
    sight: Sight


def settle(view: View) -> Settled:
    """Take in results, one after the other, up to the first stage that has none yet."""
    status = view.status
    while (stage := current(status)) is not None:
        if why := _needless(view.spec, status, stage):
            status = _skip(view, status, stage, why)
            continue
        seen = look(replace(view, status=status), stage)
        if seen.state != "succeeded":
            return Settled(_watch(view, status, stage, seen), stage, seen)
        status = _take_in(view, status, stage, seen)
    return Settled(status, None, Sight("absent"))


def _needless(spec: FineTuneJobSpec, status: FineTuneJobStatus, stage: Stage) -> str:
    """Why a stage has nothing to do; empty when it has."""
    if status.artifact is not None:
        return f"{status.artifact.uri} already holds this run"
    tested = status.dataset.test if status.dataset else 1
    if stage is Stage.EVALUATE and tested == 0 and spec.evaluation.prompts is None:
        return "there is no test split and spec.evaluation.prompts is not set"
    return ""


def _skip(view: View, status: FineTuneJobStatus, stage: Stage, why: str) -> FineTuneJobStatus:
    text = f"stage {stage} is skipped: {why}"
    status = put(status, stage, state="Skipped", reason=Reason.SKIPPED, message=text)
    already = stage is Stage.PUBLISH
    conditions = set_condition(
        status.conditions, CONDITIONS[stage], "True" if already else "False",
        Reason.ALREADY_PUBLISHED if already else Reason.SKIPPED, text, generation=view.generation, now=view.now)
    return status.model_copy(update={"conditions": list(conditions)})


def _take_in(view: View, status: FineTuneJobStatus, stage: Stage, seen: Sight) -> FineTuneJobStatus:
    assert seen.result is not None
    assert seen.pod is not None
    assert seen.job is not None
    status = _watch(view, begun(view, status, stage, seen.job), stage, seen)
    end = str(objects.terminated(seen.pod, MAIN).get("finishedAt") or timestamp(view.now))
    text = f"stage {stage} is done"
    status = put(status, stage, state="Succeeded", reason=Reason.STAGE_SUCCEEDED, message="", finish_time=end)
    conditions = set_condition(status.conditions, CONDITIONS[stage], "True", Reason.STAGE_SUCCEEDED, text,
                               generation=view.generation, now=view.now)
    return status.model_copy(update={
        "conditions": list(conditions), "timeline": note(status.timeline, f"{stage}Finished", end),
        **_findings(view, status, seen.result)})


def _findings(view: View, status: FineTuneJobStatus, result: StageResult) -> dict[str, Any]:
    """What a stage's result adds to the status."""
    if done := result.prepare:
        run = view.run.model_copy(update={"hash": done.run_hash})
        return {"run": run, "dataset": done.dataset, "artifact": done.already_published,
                "evaluation": done.evaluation if done.already_published else None}
    if trained := result.train:
        return {"progress": progress.finished(status.progress, trained, view.spec.training.epochs, view.now)}
    if evaluated := result.evaluate:
        return {"evaluation": evaluated.evaluation}
    return {"artifact": result.publish.artifact} if result.publish else {}


def _watch(view: View, status: FineTuneJobStatus, stage: Stage, seen: Sight) -> FineTuneJobStatus:
    """Take in what the running attempt shows: when its pod ran, how far it is, what it survived."""
    if seen.job is None:
        return status
    status = _count_disruptions(view, status, stage, seen.job)
    if seen.pod is None:
        return status
    timeline = status.timeline
    if began := _began(seen.pod):
        # The operator may have ended after it made the Job, before it said so: oldest first holds then, too.
        timeline = note(timeline, f"{stage}Started", _made(view, seen.job))
        timeline = note(timeline, f"{stage}PodRunning", began)
    log = view.facts.found.logs.get((objects.name(seen.pod), MAIN), "") if stage is Stage.TRAIN else ""
    if first := first_step_time(log):
        timeline = note(timeline, "firstStep", first)
    line = last_progress(log)
    known = progress.read(status.progress, line, view.now) if line else status.progress
    return status.model_copy(update={"timeline": timeline, "progress": known})


def _made(view: View, job: Object) -> str:
    return str(job["metadata"].get("creationTimestamp") or timestamp(view.now))


def _began(pod: Object) -> str:
    state = objects.container_status(pod, MAIN).get("state") or {}
    return str((state.get("running") or state.get("terminated") or {}).get("startedAt") or "")


def begun(view: View, status: FineTuneJobStatus, stage: Stage, job: Object) -> FineTuneJobStatus:
    """The stage has a Job. Also said when the operator ended between making it and saying so."""
    known, name = get(status, stage), objects.name(job)
    if known.job_name == name and known.start_time:
        return status
    made = _made(view, job)
    run = status.run or view.run
    status = put(status, stage, state="Running", job_name=name, start_time=known.start_time or made,
                 reason=Reason.RUNNING, message=made_text(stage, name))
    return status.model_copy(update={
        "run": run.model_copy(update={"start_time": run.start_time or made}),
        "timeline": note(status.timeline, f"{stage}Started", made)})


def _count_disruptions(view: View, status: FineTuneJobStatus, stage: Stage, job: Object) -> FineTuneJobStatus:
    """Each lost pod counts once, however often it is seen."""
    known = get(status, stage)
    pods = objects.pods_of(view.children.pods, objects.name(job))
    counted = [objects.created(pod) for pod in pods if objects.uid(pod) in known.disrupted_pods]
    # Only the newest are remembered: an older pod was counted before them.
    since = max(counted, default="")
    lost = [objects.uid(pod) for pod in pods if objects.disrupted(pod, MAIN) and objects.created(pod) >= since
            and objects.uid(pod) not in known.disrupted_pods]
    if not lost:
        return status
    return put(status, stage, disruptions=known.disruptions + len(lost),
               disrupted_pods=[*known.disrupted_pods, *lost][-MAX_DISRUPTED:])


def fresh() -> list[StageStatus]:
    """The stages of a run that is about to begin."""
    return [StageStatus(name=stage, reason=Reason.WAITING) for stage in Stage]
