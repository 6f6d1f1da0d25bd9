"""Argo CD's view of both kinds, by a real Lua: every state that the operator can report, and every action."""

import copy
import re

import pytest

from anneal_api.conditions import REASONS, Reason
from anneal_api.finetunejob import FineTuneJobSpec
from anneal_api.modeldeployment import ModelDeploymentSpec
from tests.factories import Object, make_finetunejob, make_modeldeployment
from tests.unit.gitops import argocd
from tests.unit.operator.decide.deployments import OTHER, of_job, published
from tests.unit.operator.decide.scenarios import SCENARIOS, deployment, suspended
from tests.unit.operator.decide.world import End, World, good

HEALTHY = {Reason.STAGE_SUCCEEDED, Reason.SKIPPED, Reason.PUBLISHED, Reason.ALREADY_PUBLISHED, Reason.SERVING,
           Reason.SCALED_TO_ZERO}
# Beside the terminal reasons: what ends a run once its retries are used up, servers that go on failing, and what Git
# asks for but does not serve.
DEGRADED = {Reason.RETRYING, Reason.CRASHED, Reason.EVICTED, Reason.STORAGE_UNAVAILABLE, Reason.RESULT_MISSING,
            Reason.NO_PROGRESS, Reason.SERVER_CRASHED, Reason.SERVER_NOT_READY, Reason.ROLLED_BACK}


def expected(reason: Reason) -> str:
    if reason is Reason.SUSPENDED:
        return "Suspended"
    if reason in HEALTHY:
        return "Healthy"
    return "Degraded" if reason in DEGRADED or REASONS[reason].terminal else "Progressing"


@pytest.mark.parametrize("reason", SCENARIOS, ids=str)
def test_health_of_every_reason(reason: Reason) -> None:
    health = argocd.health(SCENARIOS[reason]().resource)
    assert health["status"] == expected(reason)
    assert re.match(r"[A-Z]\w+: .", health["message"])


@pytest.mark.parametrize("resource", [make_finetunejob(), make_modeldeployment()], ids=lambda r: str(r["kind"]))
def test_what_no_operator_has_seen_is_in_progress(resource: Object) -> None:
    assert argocd.health(resource)["status"] == "Progressing"
    assert argocd.actions(resource) <= {"suspend"}


@pytest.mark.parametrize("world", [World(make_finetunejob()), deployment()], ids=["FineTuneJob", "ModelDeployment"])
def test_a_new_commit_is_never_green_with_the_old_status(world: World) -> None:
    resource = world.run().resource
    assert argocd.health(resource)["status"] == "Healthy"
    resource["metadata"]["generation"] += 1
    assert argocd.health(resource)["status"] == "Progressing"


def training() -> World:
    world = World(make_finetunejob(), lambda stage, attempt: End(None) if stage == "train" else good(stage, attempt))
    return world.run(until=lambda w: "train-0" in w.job_names())


def test_a_run_is_suspended_and_resumed() -> None:
    world = training()
    assert argocd.actions(world.resource) == {"suspend"}
    assert argocd.act(world.resource, "suspend")["spec"] == {**world.resource["spec"], "suspend": True}
    world = suspended()
    assert argocd.actions(world.resource) == {"resume"}
    assert argocd.act(world.resource, "resume")["spec"]["suspend"] is False


def test_a_run_that_is_over_is_tried_again_as_a_new_run() -> None:
    world = SCENARIOS[Reason.BAD_DATA]()
    assert argocd.actions(world.resource) == {"retry"}
    changed = argocd.act(world.resource, "retry")
    assert FineTuneJobSpec.model_validate(changed["spec"]).run_id
    world.script = good
    world.spec(runId=changed["spec"]["runId"])
    assert argocd.health(world.run().resource)["status"] == "Healthy"


def test_a_new_model_is_rolled_back_to_the_one_before() -> None:
    world = of_job().run()
    old = copy.deepcopy(world.status["stable"])
    assert argocd.actions(world.resource) == set()
    world.fine_tune_job = published(OTHER)
    world.step()
    assert argocd.actions(world.resource) == {"rollback"}, "while the new one is started"
    assert argocd.act(world.resource, "rollback")["spec"]["model"]["digest"] == old["artifact"]["digest"]
    world.run()
    assert argocd.actions(world.resource) == {"rollback"}, "after it took over"
    spec = argocd.act(world.resource, "rollback")["spec"]
    ModelDeploymentSpec.model_validate(spec)
    assert spec["model"] == {"uri": old["artifact"]["uri"], "digest": old["artifact"]["digest"]}
    assert {**world.resource["spec"], "model": 0} == {**spec, "model": 0}


def test_no_rollback_where_more_than_the_model_changed() -> None:
    world = deployment().run()
    world.spec(engine={"maxModelLen": 512})
    world.run()
    assert world.status["previous"]
    assert argocd.actions(world.resource) == set()
