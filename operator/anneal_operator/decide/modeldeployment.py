"""Decide about a ModelDeployment: which revision serves, which one is being started, and what its status says.

A revision gets traffic when all its replicas are Ready; only then is the one before removed. A revision that does not
become Ready is removed, and the one before goes on serving.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import ValidationError

from anneal_api.conditions import Condition, ConditionType, Reason, drop_condition, set_condition, timestamp
from anneal_api.finetunejob_status import ArtifactStatus, TimelineEntry
from anneal_api.modeldeployment import FailedRevision, ModelDeploymentSpec, ModelDeploymentStatus, RevisionStatus
from anneal_operator.decide import classify, objects, rollback, servers, unsupported
from anneal_operator.decide.classify import Verdict
from anneal_operator.decide.facts import Children, Facts, LogRequest, Needs, Object, WriteError
from anneal_operator.decide.plan import Delete, Manifest, Plan
from anneal_operator.decide.readiness import Outlook, announce, note, summarise
from anneal_operator.decide.resolve import Resolved, leftovers, resolve, source
from anneal_operator.desired import serving
from anneal_operator.desired.names import LABEL_REVISION, LABEL_STAGE
from anneal_operator.desired.owner import Owner
from anneal_operator.settings import PodSettings

POLL_SECONDS = 10.0
CHECK_SECONDS = 60.0


@dataclass(frozen=True)
class View:
    """One ModelDeployment, its children and the time."""

    owner: Owner
    generation: int
    spec: ModelDeploymentSpec
    status: ModelDeploymentStatus
    facts: Facts
    now: datetime
    settings: PodSettings

    @staticmethod
    def of(facts: Facts, now: datetime, settings: PodSettings) -> "View":
        """Raises pydantic.ValidationError when the spec is not one that this operator knows."""
        resource = facts.resource
        return View(Owner.of(resource), int(resource["metadata"]["generation"]),
                    ModelDeploymentSpec.model_validate(resource["spec"]),
                    ModelDeploymentStatus.model_validate(resource.get("status") or {}), facts, now, settings)

    def condition(
        self, conditions: Iterable[Condition], kind: ConditionType, status: Literal["True", "False", "Unknown"],
        reason: Reason, message: str,
    ) -> tuple[Condition, ...]:
        """The conditions with this one set, about this generation."""
        return set_condition(conditions, kind, status, reason, message, generation=self.generation, now=self.now)


def needs(resource: Object, children: Children, now: datetime) -> Needs:
    """What the next decision must read besides the children."""
    try:
        spec = ModelDeploymentSpec.model_validate(resource["spec"])
    except ValidationError:
        return Needs()
    if objects.deleting(resource):
        return Needs()
    revisions = {objects.label(d, LABEL_REVISION) for d in children.deployments}
    found = [servers.servers(children, revision) for revision in sorted(revisions)]
    waiting = [pod for pod in children.pods if objects.label(pod, LABEL_STAGE) == serving.RESOLVE]
    reference = spec.model.fine_tune_job_ref
    answered = any(entry["event"] == servers.FIRST_TOKEN for entry in objects.status(resource).get("timeline") or ())
    stuck = {name for one in found for name in servers.watched(one, now)} | _unstarted(children, waiting)
    claims = {name for one in found for name in servers.unbound(one)}
    claims |= {name for pod in waiting for name in objects.unplaced_claims(pod)}
    return Needs(
        claims=tuple(sorted(claims)), events_of=tuple(sorted(stuck)),
        logs=(*(request for one in found for request in servers.log_requests(one, answered=answered)),
              *(LogRequest(objects.name(pod), serving.RESOLVE) for pod in waiting if objects.phase(pod) == "Failed")),
        fine_tune_job=reference.name if reference else None)


def _unstarted(children: Children, waiting: list[Object]) -> set[str]:
    pending = [pod for pod in waiting if objects.phase(pod) == "Pending"]
    names = {name for pod in pending for name in (objects.name(pod), *objects.unplaced_claims(pod))}
    return names | {objects.name(job) for job in children.jobs
                      if objects.job_end(job) is None and not objects.pods_of(children.pods, objects.name(job))}


def plan(facts: Facts, now: datetime, settings: PodSettings) -> Plan:
    """One pass."""
    if objects.deleting(facts.resource):
        return Plan()
    try:
        view = View.of(facts, now, settings)
    except ValidationError as error:
        return unsupported.plan(facts.resource, unsupported.field(error), now)
    engine = view.spec.engine.type
    if not settings.engine_image(engine):
        text = f"spec.engine.type: the chart that installed the operator has no image for {engine}"
        return unsupported.plan(facts.resource, text, now)
    resolved = resolve(facts, view.owner, view.spec, view.status, settings, now)
    if resolved.artifact is None:
        return _unresolved(view, resolved)
    wanted = _revision(view, resolved.artifact)
    failed = rollback.given_up(view.status, wanted.hash, view.generation)
    return _roll_back(view, failed) if failed else _serve(view, wanted)


def _revision(view: View, artifact: ArtifactStatus) -> RevisionStatus:
    digest = serving.revision_hash(view.owner, view.spec, artifact)
    return RevisionStatus(name=serving.revision_name(view.owner, digest), hash=digest, artifact=artifact,
                          source=source(view.spec), settings=serving.settings_text(view.spec),
                          start_time=rollback.start_time(view.status, digest, view.now))


def _unresolved(view: View, resolved: Resolved) -> Plan:
    """Nothing new can be served yet; what serves goes on serving."""
    verdict = _Writes(resolved.creates).refused(view.facts.write_errors) or resolved.verdict
    assert verdict is not None, "what is not resolved says why"
    outlook = Outlook("failed" if verdict.terminal else "working", verdict.reason, verdict.message)
    stable = _counted(view, view.status.stable)
    kept = _of_revision(view, stable) if stable else _Writes()
    invalid: Literal["False", "Unknown"] = "False" if verdict.reason is Reason.ARTIFACT_INVALID else "Unknown"
    conditions = view.condition(view.status.conditions, ConditionType.ARTIFACT_VERIFIED, invalid, verdict.reason,
                                verdict.message)
    status = view.status.model_copy(update={
        "stable": stable, "next": None, "failed": None,
        "conditions": list(drop_condition(conditions, ConditionType.ROLLED_BACK))})
    status = _finish(view, status, outlook, ready=stable.ready_replicas if stable else 0,
                     phase="Verifying" if view.spec.model.uri else "Pending")
    return Plan(deletes=(*_deletes(view, None), *resolved.deletes), creates=(*resolved.creates, *kept.creates),
                applies=kept.applies, status=status.to_wire(),
                events=announce(view.status.conditions, status.conditions, outlook),
                requeue_after=resolved.requeue_after or (None if verdict.terminal else CHECK_SECONDS))


def _serve(view: View, wanted: RevisionStatus) -> Plan:
    """Bring the wanted revision up, and move traffic to it when all of it is Ready."""
    found, stable = servers.servers(view.facts.children, wanted.hash), view.status.stable
    serves = stable is not None and stable.hash == wanted.hash
    switch = serves or found.all_ready(view.spec.replicas)
    writes = _wanted_children(view, wanted, None if switch else stable)
    refusal = writes.refused(view.facts.write_errors)
    # As long as the Service cannot be moved, the old revision has the traffic and must stay.
    promoted = serves or (switch and refusal is None)
    outlook = _outlook(view, wanted, found, refusal)
    if stable and not switch and (failed := rollback.give_up(view.spec, wanted, outlook, view.generation, view.now)):
        return _roll_back(view, failed)
    status = _serving_status(view, wanted, found, outlook, promoted=promoted)
    # Right after a promotion the old revision is still there; it goes once the status says so.
    requeue = 0.0 if promoted and not serves else POLL_SECONDS
    return Plan(deletes=_deletes(view, wanted), creates=writes.creates, applies=writes.applies, status=status.to_wire(),
                events=announce(view.status.conditions, status.conditions, outlook),
                requeue_after=None if outlook.state == "done" and serves else requeue)


def _roll_back(view: View, failed: FailedRevision) -> Plan:
    """The stable revision serves alone; what was asked for is in the status with its reason."""
    stable = view.status.stable
    assert stable is not None, "a revision is given up only for one that serves"
    found, writes = servers.servers(view.facts.children, stable.hash), _wanted_children(view, stable, None)
    outlook = rollback.outlook_after(_outlook(view, stable, found, writes.refused(view.facts.write_errors)),
                                     stable.hash, failed)
    conditions = view.condition(_verified(view, found, outlook), ConditionType.ROLLED_BACK, "True",
                                Reason(failed.reason), f"revision {failed.hash} was given up: {failed.message}")
    status = view.status.model_copy(update={
        "stable": _counted(view, stable), "next": None, "failed": failed, "conditions": list(conditions)})
    status = _finish(view, status, outlook, ready=found.ready, phase="Starting")
    # What failed goes once the status says so: a pass that saw only its absence would start it again.
    known = view.status.failed == failed
    return Plan(deletes=_deletes(view, None if known else failed), creates=writes.creates, applies=writes.applies,
                status=status.to_wire(), events=announce(view.status.conditions, status.conditions, outlook),
                requeue_after=(None if outlook.state == "done" else POLL_SECONDS) if known else 0.0)


def _wanted_children(view: View, wanted: RevisionStatus, stable: RevisionStatus | None) -> "_Writes":
    """The wanted revision's children; with a stable revision beside it that one's too, and it has the traffic."""
    service = _Writes(applies=(serving.service(view.owner, (stable or wanted).hash),))
    kept = _of_revision(view, stable) if stable else _Writes()
    return _of_revision(view, wanted).and_also(kept).and_also(service)


def _serving_status(
    view: View, wanted: RevisionStatus, found: servers.Servers, outlook: Outlook, *, promoted: bool,
) -> ModelDeploymentStatus:
    newest, before = wanted.model_copy(update={"ready_replicas": found.ready}), view.status.stable
    stable = newest if promoted else _counted(view, before)
    replaced = promoted and before is not None and before.hash != wanted.hash
    conditions = drop_condition(_verified(view, found, outlook), ConditionType.ROLLED_BACK)
    status = view.status.model_copy(update={
        "stable": stable, "next": None if promoted else newest, "failed": None,
        # What is replaced is removed; its pods of this moment would stay in the status for ever.
        "previous": before.model_copy(update={"ready_replicas": 0}) if before and replaced else view.status.previous,
        "url": serving.address(view.owner),
        "served_name": serving.served_name(view.owner, view.spec), "conditions": list(conditions)})
    old = stable.ready_replicas if stable and not promoted else 0
    return _finish(view, status, outlook, ready=found.ready + old, phase="Starting", newest=found.ready)


def _counted(view: View, revision: RevisionStatus | None) -> RevisionStatus | None:
    """The revision with its pods counted anew."""
    if revision is None:
        return None
    return revision.model_copy(update={"ready_replicas": servers.servers(view.facts.children, revision.hash).ready})


@dataclass(frozen=True)
class _Writes:
    creates: tuple[Manifest, ...] = ()
    applies: tuple[Manifest, ...] = ()

    def and_also(self, other: "_Writes") -> "_Writes":
        return _Writes((*self.creates, *other.creates), (*self.applies, *other.applies))

    def refused(self, errors: tuple[WriteError, ...]) -> Verdict | None:
        """Why the API server does not take one of these, if it did not the last time."""
        return classify.refused(errors, {(m["kind"], objects.name(m)) for m in (*self.creates, *self.applies)})


def _of_revision(view: View, revision: RevisionStatus) -> _Writes:
    """A revision's children. Its ConfigMap holds the Deployment as it was first made; only replicas may change."""
    existing = objects.named(view.facts.children.config_maps, revision.name)
    if existing is not None:
        return _Writes(applies=(serving.deployment(existing, view.spec.replicas),))
    frozen = serving.config_map(view.owner, view.spec, revision.artifact, revision.hash, view.settings)
    return _Writes((frozen,), (serving.deployment(frozen, view.spec.replicas),))


def _outlook(view: View, wanted: RevisionStatus, found: servers.Servers, refusal: Verdict | None) -> Outlook:
    if refusal:
        return Outlook("failed" if refusal.terminal else "working", refusal.reason, refusal.message)
    replicas = view.spec.replicas
    if found.all_ready(replicas):
        if replicas == 0:
            return Outlook("done", Reason.SCALED_TO_ZERO, "spec.replicas is 0: nothing runs and nothing answers")
        return Outlook("done", Reason.SERVING, f"{found.ready}/{replicas} replicas serve revision {wanted.hash}")
    if verdict := servers.trouble(found, view.facts, f"revision {wanted.hash}", view.now):
        verdict = _surge(view, wanted, verdict)
        return Outlook("failed" if servers.broken(verdict) else "working", verdict.reason, verdict.message)
    return Outlook("working", Reason.STARTING, f"{found.ready}/{replicas} replicas of revision {wanted.hash} are ready")


def _surge(view: View, wanted: RevisionStatus, verdict: Verdict) -> Verdict:
    """The old revision holds the room that the new one waits for."""
    stable = view.status.stable
    if verdict.reason is not Reason.UNSCHEDULABLE or stable is None or stable.hash == wanted.hash:
        return verdict
    text = verdict.message.partition(" Fix:")[0].rstrip(". ")
    return Verdict.of(Reason.INSUFFICIENT_SURGE_CAPACITY, f"{text}; revision {stable.hash} goes on serving")


def _verified(view: View, found: servers.Servers, outlook: Outlook) -> tuple[Condition, ...]:
    kind = ConditionType.ARTIFACT_VERIFIED
    if outlook.reason is Reason.ARTIFACT_INVALID:
        return view.condition(view.status.conditions, kind, "False", outlook.reason, outlook.message)
    verified = servers.verified(found, view.facts)
    if not verified and servers.restarted(found):
        # What its first start found holds until a start finds something else: else it would flap with each restart.
        return tuple(view.status.conditions)
    if not verified and view.spec.replicas > 0:
        return view.condition(view.status.conditions, kind, "Unknown", Reason.STARTING, "checksums are being compared")
    if not verified:
        return drop_condition(view.status.conditions, kind)
    return view.condition(view.status.conditions, kind, "True", Reason.SERVING, "every file has the right checksum")


def _finish(
    view: View, status: ModelDeploymentStatus, outlook: Outlook, *, ready: int, phase: str, newest: int | None = None,
) -> ModelDeploymentStatus:
    """What every status has: availability, the summary for kstatus, the phase for people, the timeline."""
    text = f"{ready} pods answer" if ready else "no pod answers"
    available = view.condition(status.conditions, ConditionType.AVAILABLE, "True" if ready else "False",
                               Reason.SERVING if ready else outlook.reason, text)
    stopped = outlook.reason is Reason.SCALED_TO_ZERO
    done = "Stopped" if stopped else "RolledBack" if outlook.reason is Reason.ROLLED_BACK else "Serving"
    phases = {"done": done, "failed": "Failed", "working": phase, "held": "Stopped"}
    return status.model_copy(update={
        "observed_generation": view.generation, "phase": phases[outlook.state],
        "timeline": _timeline(view, status, outlook),
        "replicas": f"{ready if newest is None else newest}/{view.spec.replicas}",
        "conditions": list(summarise(available, outlook, view.generation, view.now))})


def _timeline(view: View, status: ModelDeploymentStatus, outlook: Outlook) -> list[TimelineEntry]:
    now = timestamp(view.now)
    found = note(status.timeline, "created", str(view.facts.resource["metadata"]["creationTimestamp"]))
    if status.stable or status.next:
        found = note(note(found, "resolved", now), "started", now)
    revision, answered = status.next or status.stable, any(e.event == servers.FIRST_TOKEN for e in found)
    if revision and not answered:
        for event, time in servers.moments(servers.servers(view.facts.children, revision.hash), view.facts):
            found = note(found, event, time)
    return note(found, "ready", now) if outlook.reason is Reason.SERVING else found


def _deletes(view: View, wanted: RevisionStatus | None) -> tuple[Delete, ...]:
    """Revisions that neither serve nor shall serve, and resolve Jobs that nobody waits for, by the status as it was."""
    keep = {revision.hash for revision in (view.status.stable, wanted) if revision}
    children = view.facts.children
    doomed = [obj for obj in (*children.deployments, *children.config_maps)
              if objects.label(obj, LABEL_REVISION) and objects.label(obj, LABEL_REVISION) not in keep]
    doomed += leftovers(view.facts, view.owner, view.spec, view.status)
    return tuple(Delete(obj["apiVersion"], obj["kind"], objects.name(obj), objects.uid(obj))
                 for obj in doomed if not objects.deleting(obj))
