"""Which artifact a ModelDeployment serves: pinned once, then kept whatever happens to where it came from."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

from anneal_api.conditions import ConditionType, Reason
from anneal_api.finetunejob_status import ArtifactStatus, FineTuneJobStatus
from anneal_api.modeldeployment import ModelDeploymentSpec, ModelDeploymentStatus
from anneal_api.serve import ResolveResult
from anneal_api.termination import ExitCode
from anneal_operator.decide import classify, objects
from anneal_operator.decide.classify import Verdict
from anneal_operator.decide.facts import Facts, Object
from anneal_operator.decide.plan import Delete, Manifest
from anneal_operator.desired import serving
from anneal_operator.desired.names import LABEL_STAGE
from anneal_operator.desired.owner import Owner
from anneal_operator.settings import PodSettings

INVALID = (ExitCode.MODEL_MISMATCH, ExitCode.MODEL_NOT_FOUND, ExitCode.BAD_CONFIG)
"""Exit codes of resolve and serve that say: this folder is not what was asked for, and will not become so."""
RETRY = timedelta(seconds=30)
SETTLE = timedelta(seconds=30)


@dataclass(frozen=True)
class Resolved:
    """The artifact, or why there is none yet."""

    artifact: ArtifactStatus | None = None
    verdict: Verdict | None = None
    creates: tuple[Manifest, ...] = ()
    deletes: tuple[Delete, ...] = ()
    requeue_after: float | None = None


def source(spec: ModelDeploymentSpec) -> str:
    """What the spec asks for, in one word."""
    reference = spec.model.fine_tune_job_ref
    if reference:
        return f"finetunejob/{reference.name}"
    return f"{spec.model.uri}@{spec.model.digest}" if spec.model.digest else str(spec.model.uri)


def pinned(spec: ModelDeploymentSpec, status: ModelDeploymentStatus, generation: int) -> ArtifactStatus | None:
    """The artifact that was found for this source before. What was given up counts until the spec changes."""
    wanted, exact = source(spec), (spec.model.uri, spec.model.digest)
    failed = status.failed if status.failed and status.failed.generation == generation else None
    by_source = (r.artifact for r in (status.next, failed, status.stable) if r and r.source == wanted)
    # A digest says all: what was found under it once needs not be read again, and serve verifies every file.
    by_digest = (r.artifact for r in (status.stable, status.previous)
                 if r and (r.artifact.uri, r.artifact.digest) == exact)
    return next(chain(by_source, by_digest), None)


def resolve(
    facts: Facts, owner: Owner, spec: ModelDeploymentSpec, status: ModelDeploymentStatus, settings: PodSettings,
    now: datetime,
) -> Resolved:
    """Find the artifact."""
    known = pinned(spec, status, int(facts.resource["metadata"]["generation"]))
    if reference := spec.model.fine_tune_job_ref:
        return _of_job(facts.found.fine_tune_job, reference.name, owner, known)
    return Resolved(known) if known else _of_folder(facts, owner, spec, settings, now)


def _of_job(job: Object | None, name: str, owner: Owner, known: ArtifactStatus | None) -> Resolved:
    status = FineTuneJobStatus.model_validate(objects.status(job)) if job else None
    published = status.artifact if status and status.run and status.run.state == "Succeeded" else None
    if artifact := published or known:
        return Resolved(artifact)
    if job is None:
        text = f"FineTuneJob {name!r} does not exist in namespace {owner.namespace}"
        return Resolved(verdict=Verdict.of(Reason.FINE_TUNE_JOB_NOT_FOUND, text))
    ready = objects.condition(job, ConditionType.READY)
    text = f"FineTuneJob {name!r} has not published yet; it says {ready.get('reason', 'nothing')}"
    return Resolved(verdict=Verdict.of(Reason.FINE_TUNE_JOB_NOT_PUBLISHED, text))


def _of_folder(
    facts: Facts, owner: Owner, spec: ModelDeploymentSpec, settings: PodSettings, now: datetime,
) -> Resolved:
    uri, attempt = str(spec.model.uri), int(facts.resource["metadata"]["generation"])
    job = objects.named(facts.children.jobs, serving.resolve_name(owner, uri, attempt))
    if job is None:
        creates = (serving.resolve_config(owner, uri, attempt),
                   serving.resolve_job(owner, uri, attempt, spec, settings))
        text = f"Job {objects.name(creates[1])} reads what {uri} holds"
        return Resolved(verdict=Verdict(Reason.STARTING, text, terminal=False), creates=creates, requeue_after=30.0)
    found = _of_resolve_job(facts, uri, job, now)
    return _held_against(spec.model.digest, found, uri)


def _held_against(digest: str | None, found: Resolved, uri: str) -> Resolved:
    """What is in the folder, unless the spec pins something else."""
    if digest is None or found.artifact is None or found.artifact.digest == digest:
        return found
    text = f"{uri} has digest {found.artifact.digest}, but spec.model.digest is {digest}"
    return Resolved(verdict=Verdict.of(Reason.ARTIFACT_INVALID, text))


def _of_resolve_job(facts: Facts, uri: str, job: Object, now: datetime) -> Resolved:
    pods = objects.pods_of(facts.children.pods, objects.name(job))
    pod, where = (pods[-1] if pods else None), f"reading {uri}"
    ended = objects.job_end_time(job)
    if ended is None:
        verdict = (classify.stuck(pod, facts.found.events, where, now, facts.found.claims.values()) if pod
                   else classify.no_pod(job, facts.found.events, where))
        text = f"Job {objects.name(job)} reads what {uri} holds"
        return Resolved(verdict=verdict or Verdict(Reason.STARTING, text, terminal=False), requeue_after=10.0)
    artifact, verdict = _outcome(facts, pod, where)
    if artifact:
        return Resolved(artifact)
    if pod is None or not objects.ended(pod):
        # Its last state may be on its way, by another watch than the Job's.
        verdict = verdict if now - ended > SETTLE else Verdict(Reason.STARTING, f"{where}: almost done", terminal=False)
    return _failed(job, verdict, now - ended)


def _outcome(facts: Facts, pod: Object | None, where: str) -> tuple[ArtifactStatus | None, Verdict]:
    if pod is None:
        return None, Verdict.of(Reason.RESULT_MISSING, f"{where}: the pod is gone before its result was read")
    end = objects.terminated(pod, serving.RESOLVE)
    try:
        result = ResolveResult.model_validate_json(end.get("message") or "")
    except ValueError:
        result = ResolveResult()
    if end.get("exitCode") == ExitCode.OK and result.artifact:
        return result.artifact, Verdict(Reason.STARTING, "", terminal=False)
    if result.message and end.get("exitCode") in (ExitCode.OK, *INVALID):
        return None, Verdict.of(Reason.ARTIFACT_INVALID, f"{where}: {result.message}")
    log = facts.found.logs.get((objects.name(pod), serving.RESOLVE), "")
    return None, classify.ended_badly(pod, serving.RESOLVE, where, log)


def _failed(job: Object, verdict: Verdict, ago: timedelta) -> Resolved:
    """A folder that cannot be served stays so until the spec changes; anything else is tried again."""
    if verdict.terminal:
        return Resolved(verdict=verdict)
    if ago < RETRY:
        return Resolved(verdict=verdict, requeue_after=max(1.0, (RETRY - ago).total_seconds()))
    return Resolved(verdict=verdict, deletes=(_delete(job),), requeue_after=1.0)


def _delete(obj: Object) -> Delete:
    return Delete(obj["apiVersion"], obj["kind"], objects.name(obj), objects.uid(obj))


def leftovers(facts: Facts, owner: Owner, spec: ModelDeploymentSpec, status: ModelDeploymentStatus) -> list[Object]:
    """Resolve Jobs, and what they read, that nobody waits for any more."""
    generation = int(facts.resource["metadata"]["generation"])
    waiting = spec.model.uri is not None and pinned(spec, status, generation) is None
    keep = serving.resolve_name(owner, str(spec.model.uri), generation) if waiting else ""
    jobs = [job for job in facts.children.jobs if objects.label(job, LABEL_STAGE) == serving.RESOLVE]
    configs = [c for c in facts.children.config_maps if objects.label(c, LABEL_STAGE) == serving.RESOLVE]
    return [obj for obj in (*jobs, *configs) if objects.name(obj) != keep]
