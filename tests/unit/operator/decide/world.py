"""A cluster in memory: plans are applied as the executor would, pods are played as a script says, time is a number.

A pod that a test has made Pending stays so: it waits for something.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from anneal_operator.decide import finetunejob, modeldeployment
from anneal_operator.decide.facts import Children, Facts, Found, Needs, WriteError
from anneal_operator.decide.plan import Event, Plan
from anneal_operator.desired.names import LABEL_RUN, LABEL_STAGE
from anneal_operator.kube.kinds import BY_NAME
from anneal_operator.kube.trim import trim
from tests.factories import (
    ARTIFACT,
    SETTINGS,
    START,
    Object,
    exited,
    make_condition,
    stage_result,
)

PLURALS = {"Job": "jobs", "Pod": "pods", "PersistentVolumeClaim": "claims", "ConfigMap": "config_maps",
           "Deployment": "deployments", "Service": "services"}


@dataclass(frozen=True)
class End:
    """How a pod's main container ends; `code` None keeps it running."""

    code: int | None = 0
    message: str = ""
    reason: str = ""


Script = Callable[[str, int], End]
"""Stage and attempt in, how the pod ends out."""


def good(stage: str, attempt: int) -> End:
    """Every stage succeeds."""
    if stage == "resolve":
        return End(message=json.dumps({"artifact": ARTIFACT}))
    return End(message=stage_result(stage))


@dataclass
class World:
    """One resource and its children."""

    resource: Object
    script: Script = good
    claims: set[str] = field(default_factory=lambda: {"models", "data"})
    claim_objects: dict[str, Object] = field(default_factory=dict)
    warnings: list[Object] = field(default_factory=list)
    user_config_maps: dict[str, Object] = field(default_factory=dict)
    fine_tune_job: Object | None = None
    objects: dict[tuple[str, str], Object] = field(default_factory=dict)
    logs: dict[tuple[str, str], str] = field(default_factory=dict)
    refuse: Callable[[Object], WriteError | None] = lambda manifest: None
    now: datetime = START
    events: list[Event] = field(default_factory=list)
    created: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    statuses: list[Object] = field(default_factory=list)
    last: Plan = field(default_factory=Plan)
    _errors: tuple[WriteError, ...] = ()
    _serial: int = 0

    @property
    def status(self) -> Object:
        """The status of the resource."""
        return self.resource.get("status") or {}

    def of(self, kind: str) -> list[Object]:
        """Children of a kind, by name."""
        return [obj for (k, _), obj in sorted(self.objects.items()) if k == kind]

    def children(self) -> Children:
        """The snapshot of a pass."""
        return Children(**{plural: tuple(trim(BY_NAME[kind], obj) for obj in self.of(kind))
                           for kind, plural in PLURALS.items()})

    def spec(self, **changes: Any) -> None:
        """The user edits the spec."""
        self.resource["spec"] = {**self.resource["spec"], **changes}
        self.resource["metadata"]["generation"] += 1

    def needs(self) -> Needs:
        """What the pass asks for."""
        return self._brain().needs(self.resource, self.children(), self.now)

    def _brain(self) -> Any:
        return finetunejob if self.resource["kind"] == "FineTuneJob" else modeldeployment

    def decide(self) -> Plan:
        """One decision, not carried out."""
        asked = self.needs()
        found = Found(
            claims={name: self.claim_objects.get(name, {}) for name in asked.claims if name in self.claims},
            config_maps={n: self.user_config_maps[n] for n in asked.config_maps if n in self.user_config_maps},
            events=tuple(e for e in self.warnings if e["involvedObject"]["name"] in asked.events_of),
            logs={(r.pod, r.container): self.logs[r.pod, r.container] for r in asked.logs
                  if (r.pod, r.container) in self.logs},
            fine_tune_job=self.fine_tune_job if asked.fine_tune_job else None)
        facts = Facts(self.resource, self.children(), found, self._errors)
        plan: Plan = self._brain().plan(facts, self.now, SETTINGS)
        return plan

    def step(self) -> Plan:
        """One pass: decide and carry out."""
        self.last = plan = self.decide()
        for doomed in plan.deletes:
            self._delete(doomed.kind, doomed.name, doomed.uid)
        errors = [error for manifest in (*plan.creates, *plan.applies) if (error := self._write(manifest))]
        known = {(e.kind, e.name, e.reason) for e in self._errors}
        self._errors = tuple(errors)
        if {(e.kind, e.name, e.reason) for e in errors} <= known and plan.status is not None:
            if plan.status != self.status:
                self.statuses.append(plan.status)
            # Through JSON, as the API server would give it back.
            self.resource["status"] = json.loads(json.dumps(plan.status))
            self.events += plan.events
        return plan

    def _write(self, manifest: Object) -> WriteError | None:
        if error := self.refuse(manifest):
            return error
        key = manifest["kind"], manifest["metadata"]["name"]
        old = self.objects.get(key)
        if old is None:
            self._serial += 1
            self.created.append(key[1])
            meta = {**manifest["metadata"], "uid": f"uid-{self._serial}", "generation": 1,
                    "creationTimestamp": self.now.strftime("%Y-%m-%dT%H:%M:%SZ")}
            self.objects[key] = json.loads(json.dumps({**manifest, "metadata": meta}))
        elif manifest["kind"] in ("Deployment", "Service"):
            changed = old["spec"] != manifest["spec"]
            old["spec"] = json.loads(json.dumps(manifest["spec"]))
            old["metadata"]["generation"] += changed
        return None

    def _delete(self, kind: str, name: str, uid: str) -> None:
        obj = self.objects.get((kind, name))
        if obj is None or obj["metadata"]["uid"] != uid:
            return
        self.deleted.append(name)
        self.lose(kind, name)

    def lose(self, kind: str, name: str) -> None:
        """An object vanishes, and the garbage collector takes its pods."""
        self.objects.pop((kind, name))
        if kind in ("Job", "Deployment"):
            for pod in self.of("Pod"):
                if pod["metadata"]["labels"].get("owner") == name:
                    self.objects.pop(("Pod", pod["metadata"]["name"]))

    def play(self) -> bool:
        """The controllers and the kubelet move everything on by one step. Returns whether something moved."""
        moved = [self._play_job(job) for job in self.of("Job") if not self._ended(job)]
        return any(moved + [self._play_deployment(d) for d in self.of("Deployment")])

    @staticmethod
    def _ended(job: Object) -> bool:
        return bool((job.get("status") or {}).get("conditions"))

    def _play_job(self, job: Object) -> bool:
        name = job["metadata"]["name"]
        labels = job["metadata"]["labels"]
        live = [p for p in self.of("Pod") if p["metadata"]["labels"]["owner"] == name
                and p["status"]["phase"] in ("Pending", "Running")]
        if not live:
            self.add_pod(job)
            return True
        if live[0]["status"]["phase"] == "Pending":
            return False
        end = self.script(labels[LABEL_STAGE], int(labels["anneal.dev/attempt"]))
        if end.code is None:
            return False
        self.end_pod(live[0], end)
        if end.code != 42:
            kind = "Complete" if end.code == 0 else "Failed"
            job["status"] = {"conditions": [make_condition(kind, seconds=self.seconds, message="Job has ended")]}
        return True

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return (self.now - START).total_seconds()

    def add_pod(self, job: Object) -> Object:
        """The Job controller makes a pod and the kubelet starts it."""
        self._serial += 1
        name = f"{job['metadata']['name']}-{self._serial}"
        template = job["spec"]["template"]
        main = template["spec"]["containers"][0]["name"]
        labels = {**template["metadata"]["labels"], "owner": job["metadata"]["name"],
                  "batch.kubernetes.io/job-name": job["metadata"]["name"]}
        pod = {"apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
               "metadata": {"name": name, "uid": f"uid-{name}", "labels": labels,
                            "creationTimestamp": self.now.strftime("%Y-%m-%dT%H:%M:%SZ")},
               "status": {"phase": "Running", "conditions": [], "containerStatuses": [
                   {"name": main, "restartCount": 0,
                    "state": {"running": {"startedAt": self.now.strftime("%Y-%m-%dT%H:%M:%SZ")}}}]}}
        self.objects["Pod", name] = pod
        return pod

    def end_pod(self, pod: Object, end: End) -> None:
        """The main container ends."""
        pod["status"]["phase"] = "Succeeded" if end.code == 0 else "Failed"
        state = exited(int(end.code or 0), end.message, end.reason, self.seconds)
        pod["status"]["containerStatuses"][0]["state"] = state

    def _play_deployment(self, deployment: Object) -> bool:
        wanted = deployment["spec"]["replicas"]
        generation = deployment["metadata"]["generation"]
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas"), wanted)
        status = {"observedGeneration": generation, **counts}
        if deployment.get("status") == status:
            return False
        deployment["status"] = status
        return True

    def run(self, until: Callable[["World"], bool] | None = None, passes: int = 60) -> "World":
        """Pass and play in turn until it holds, or until nothing moves any more."""
        for _ in range(passes):
            before = json.dumps([self.status, sorted(map(str, self.objects))])
            plan = self.step()
            if until and until(self):
                return self
            moved = self.play()
            # An event tells of what moved; nothing but the time of the next pass tells of what did not.
            self.now += timedelta(seconds=1.0 if moved else max(1.0, plan.requeue_after or 1.0))
            quiet = not moved and json.dumps([self.status, sorted(map(str, self.objects))]) == before
            if not until and quiet and plan.requeue_after is None:
                return self
        raise AssertionError(f"not there after {passes} passes: {json.dumps(self.status, indent=1)}")

    def condition(self, kind: str) -> Object:
        """A condition of the resource, or an empty one."""
        return next((c for c in self.status.get("conditions", []) if c["type"] == kind), {})

    def stage(self, name: str) -> Object:
        """The status of a stage."""
        found: Object = next(s for s in self.status["stages"] if s["name"] == name)
        return found

    def job_names(self) -> list[str]:
        """Names of all Jobs that were ever made, without what they share."""
        return [name.removeprefix("support-0f8fad5b-") for name in self.created
                if any(name.endswith(f"-{n}") for n in range(20)) and "-serve-" not in name]

    def run_labels(self) -> set[str]:
        """Runs that children belong to."""
        return {obj["metadata"]["labels"][LABEL_RUN] for obj in self.objects.values()
                if LABEL_RUN in obj["metadata"]["labels"]}
