"""What one decision about a FineTuneJob looks at, with names for the questions it asks."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from anneal_api.finetunejob import FineTuneJobSpec
from anneal_api.finetunejob_status import FineTuneJobStatus, RunState, StageStatus
from anneal_api.model import seconds
from anneal_api.run import Stage
from anneal_operator.decide import objects
from anneal_operator.decide.facts import Children, Facts, Object
from anneal_operator.desired.names import LABEL_RUN, LABEL_STAGE
from anneal_operator.desired.owner import Owner
from anneal_operator.desired.run import run_id
from anneal_operator.desired.stage import job_name


@dataclass(frozen=True)
class View:
    """One FineTuneJob, its children and the time."""

    owner: Owner
    generation: int
    created: str
    spec: FineTuneJobSpec
    status: FineTuneJobStatus
    facts: Facts
    now: datetime

    @staticmethod
    def of(facts: Facts, now: datetime) -> "View":
        """Raises pydantic.ValidationError when the spec is not one that this operator knows."""
        resource = facts.resource
        meta = resource["metadata"]
        return View(
            owner=Owner.of(resource), generation=int(meta["generation"]), created=str(meta["creationTimestamp"]),
            spec=FineTuneJobSpec.model_validate(resource["spec"]),
            status=FineTuneJobStatus.model_validate(resource.get("status") or {}), facts=facts, now=now)

    @property
    def children(self) -> Children:
        """Everything that carries our uid."""
        return self.facts.children

    @property
    def run(self) -> RunState:
        """The current run; only asked for once there is one."""
        assert self.status.run is not None, "a run is begun before anything else"
        return self.status.run

    @property
    def needs_new_run(self) -> bool:
        """Is there none, did the user correct a failed one, or change what shapes the result?"""
        run = self.status.run
        if run is None:
            return True
        corrected = run.state == "Failed" and self.generation > run.generation
        return corrected or run.id != run_id(self.spec, run.generation)

    def stage(self, stage: Stage) -> StageStatus:
        """The status of a stage."""
        return next((s for s in self.status.stages if s.name == stage), StageStatus(name=stage))

    def jobs(self, stage: Stage) -> list[Object]:
        """Jobs of a stage in this run."""
        return [job for job in self.children.jobs
                if objects.label(job, LABEL_STAGE) == stage and objects.label(job, LABEL_RUN) == self.run.id]

    def job(self, stage: Stage, attempt: int) -> Object | None:
        """The Job of one attempt."""
        return objects.named(self.jobs(stage), job_name(self.owner, stage, attempt))

    def live_pods(self, stage: Stage) -> list[Object]:
        """Pods of a stage that may still write to the workspace, of this run or an older one."""
        return [pod for pod in self.children.pods
                if objects.label(pod, LABEL_STAGE) == stage and not objects.ended(pod)]

    @property
    def remaining(self) -> timedelta:
        """Time left before the deadline."""
        begun = objects.parse_time(self.run.start_time) or self.now
        allowed = timedelta(seconds=seconds(self.spec.deadline) + self.run.suspended_seconds)
        return begun + allowed - self.now
