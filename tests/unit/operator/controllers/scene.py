"""An operator around a brain that the test provides, against the API server in memory."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from anneal_operator.controllers.health import WatchHealth
from anneal_operator.controllers.intake import Intake
from anneal_operator.controllers.metrics import Metrics
from anneal_operator.controllers.queue import WorkQueue
from anneal_operator.controllers.reconcile import Brain, Reconciler
from anneal_operator.controllers.store import Key, Store
from anneal_operator.decide.facts import Children, Facts, Needs, Object
from anneal_operator.decide.plan import Plan
from anneal_operator.desired import names
from anneal_operator.kube.events import Recorder
from anneal_operator.kube.execute import Executor
from anneal_operator.kube.kinds import FINETUNEJOB, meta
from tests.fakes import FakeKube

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = Key("FineTuneJob", "team", "support")


class Scene:
    """An operator without Kopf: what Kopf would say, the test says."""

    def __init__(self) -> None:
        self.kube, self.store, self.metrics = FakeKube(), Store(), Metrics()
        self.queue: WorkQueue[Key] = WorkQueue()
        self.facts: list[Facts] = []
        self.needs = Needs()
        self.decide: Callable[[Facts], Plan] = lambda facts: Plan()
        executor = Executor(self.kube, self.store, Recorder(self.kube, "pod-a"))
        brain = Brain(self._needs, self._plan)
        self.reconciler = Reconciler(self.kube, self.store, executor,
                                     {"FineTuneJob": brain, "ModelDeployment": brain}, self.metrics, lambda: NOW)
        self.intake = Intake(self.kube, self.store, self.queue, WatchHealth(), self.metrics, (),
                             self.reconciler.forget)

    def _needs(self, resource: Object, children: Children, now: datetime) -> Needs:
        return self.needs

    def _plan(self, facts: Facts, now: datetime) -> Plan:
        self.facts.append(facts)
        return self.decide(facts)

    def resource(self, kind: Any = FINETUNEJOB, **more: Any) -> Object:
        obj = self.kube.add({"apiVersion": kind.api_version, "kind": kind.name,
                             "metadata": {"name": "support", "namespace": "team"}, **more})
        self.intake.event(kind, False, obj)
        return obj

    def job_of(self, resource: Object) -> Object:
        about = meta(resource)
        return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {
            "name": "child", "namespace": "team", "labels": names.labels("FineTuneJob", about["name"], about["uid"])}}

    def failures(self, error: str) -> float:
        found = self.metrics.registry.get_sample_value(
            "anneal_reconcile_errors_total", {"kind": "FineTuneJob", "error": error})
        return found or 0.0
