"""What makes ten thousand resources cheap, for ever: what is settled is left alone, by a pass and by a restart.

The brains are the real ones; the API server is in memory and counts.
"""

import copy

import pytest

from anneal_operator.controllers.brains import brains
from anneal_operator.controllers.health import WatchHealth
from anneal_operator.controllers.intake import Intake
from anneal_operator.controllers.metrics import Metrics
from anneal_operator.controllers.queue import WorkQueue
from anneal_operator.controllers.reconcile import Reconciler
from anneal_operator.controllers.store import Key, Store
from anneal_operator.kube.events import Recorder
from anneal_operator.kube.execute import Executor
from anneal_operator.kube.kinds import meta
from tests.factories import make_finetunejob
from tests.fakes import FakeKube
from tests.unit.operator.decide.scenarios import deployment
from tests.unit.operator.decide.world import SETTINGS, End, World


def published() -> World:
    return World(make_finetunejob()).run()


def failed() -> World:
    return World(make_finetunejob(), lambda stage, attempt: End(11)).run()


def serving() -> World:
    return deployment().run()


SETTLED = {"published": published, "failed": failed, "serving": serving}


class Restarted:
    """An operator that has just started on the cluster that this world has become."""

    def __init__(self, world: World) -> None:
        self.kube, store, metrics = FakeKube(), Store(), Metrics()
        self.queue: WorkQueue[Key] = WorkQueue()
        for obj in (world.resource, *world.objects.values(), *filter(None, [world.fine_tune_job])):
            manifest = copy.deepcopy(obj)
            meta(manifest).setdefault("namespace", meta(world.resource)["namespace"])
            self.kube.add(manifest)
        executor = Executor(self.kube, store, Recorder(self.kube, "pod-a"))
        self.reconciler = Reconciler(self.kube, store, executor, brains(SETTINGS), metrics, lambda: world.now)
        self.intake = Intake(self.kube, store, self.queue, WatchHealth(), metrics, (), self.reconciler.forget)
        about = meta(world.resource)
        self.key = Key(world.resource["kind"], about["namespace"], about["name"])


@pytest.mark.parametrize("end", SETTLED)
async def test_a_pass_over_what_is_settled_costs_no_request(end: str) -> None:
    operator = Restarted(SETTLED[end]())
    await operator.intake.fill()
    operator.kube.calls.clear()
    for _ in range(3):
        await operator.reconciler.handle(operator.key)
    assert operator.kube.calls == []


@pytest.mark.parametrize("end", SETTLED)
async def test_a_restart_reads_lists_and_nothing_else(end: str) -> None:
    operator = Restarted(SETTLED[end]())
    await operator.intake.fill()
    await operator.reconciler.handle(operator.key)
    assert set(operator.kube.count()) == {"list"}
    assert operator.kube.count()["list"] == 8
