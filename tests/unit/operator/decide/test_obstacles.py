"""What a run meets on its way: something missing, refused, foreign or unreadable."""


import pytest

from anneal_operator.decide.facts import WriteError
from tests.factories import make_condition, make_finetunejob, stage_result
from tests.unit.operator.decide.world import End, World, good


def test_a_missing_claim_is_named_and_the_run_goes_on_when_it_appears() -> None:
    world = World(make_finetunejob(output={"uri": "pvc://late/out"}))
    world.run(until=lambda w: w.condition("Ready").get("reason") == "ClaimNotFound")
    assert "'late'" in world.condition("Ready")["message"]
    assert world.condition("Reconciling")["status"] == "True"
    assert world.created == []
    assert world.last.requeue_after == 10
    world.claims.add("late")
    assert world.run().status["phase"] == "Succeeded"


def test_a_missing_template_config_map_is_named_and_so_is_a_missing_key() -> None:
    world = World(make_finetunejob(template={"source": "configMap", "configMapRef": {"name": "templates", "key": "t"}}))
    world.run(until=lambda w: w.condition("Ready").get("reason") == "ConfigMapNotFound")
    assert "'templates'" in world.condition("Ready")["message"]
    world.user_config_maps["templates"] = {"data": {"other": "x"}}
    world.step()
    assert "no key 't'" in world.condition("Ready")["message"]
    world.user_config_maps["templates"] = {"data": {"t": "x"}}
    assert world.run().status["phase"] == "Succeeded"


def refusing(reason: str, message: str, kind: str = "Job") -> object:
    return lambda manifest: WriteError(manifest["kind"], manifest["metadata"]["name"], 403, reason, message) \
        if manifest["kind"] == kind else None  # type: ignore[arg-type]


@pytest.mark.parametrize(("reason", "message", "wanted"), [
    ("Forbidden", "exceeded quota: gpus, requested: 1, used: 8, limited: 8", "QuotaExceeded"),
    ("Forbidden", 'jobs.batch is forbidden: User "system:a:b" cannot create resource', "PermissionDenied"),
    ("Forbidden", "admission webhook denied the request: no", "PodRejected"),
])
def test_a_refused_write_is_explained_and_overcome_by_itself(reason: str, message: str, wanted: str) -> None:
    world = World(make_finetunejob())
    world.refuse = refusing(reason, message)  # type: ignore[assignment]
    world.run(until=lambda w: w.condition("Ready").get("reason") == wanted)
    assert message in world.condition("Ready")["message"]
    assert world.stage("prepare")["state"] == "Pending"
    world.refuse = lambda manifest: None
    assert world.run().status["phase"] == "Succeeded"


def test_a_foreign_object_of_the_name_ends_the_run() -> None:
    world = World(make_finetunejob())
    world.refuse = refusing("NameTaken", "Job x exists and was not made for this resource")  # type: ignore[assignment]
    world.run()
    assert world.condition("Stalled")["reason"] == "NameTaken"
    assert world.of("Job") == []


def test_other_resources_replace_a_job_that_cannot_start_and_cost_no_failure() -> None:
    world = World(make_finetunejob(resources={"cpu": "64", "memory": "2Gi"}))
    world.run(until=lambda w: "train-0" in w.job_names())
    job = next(j for j in world.of("Job") if j["metadata"]["name"].endswith("train-0"))
    pod = world.add_pod(job)
    unscheduled = make_condition("PodScheduled", "False", "Unschedulable", "0/1 nodes: Insufficient cpu")
    pod["status"] = {"phase": "Pending", "conditions": [unscheduled]}
    world.step()
    assert world.condition("Ready")["reason"] == "Unschedulable"
    world.spec(resources={"cpu": "1", "memory": "2Gi"})
    world.run(until=lambda w: "train-1" in w.job_names())
    assert "support-0f8fad5b-train-0" in world.deleted
    world.run()
    assert (world.stage("train")["attempt"], world.stage("train")["failures"]) == (1, 0)
    assert world.status["phase"] == "Succeeded"


def test_a_result_that_cannot_be_read_makes_another_attempt() -> None:
    world = World(make_finetunejob(), lambda s, a: End(0, "") if (s, a) == ("prepare", 0) else good(s, a)).run()
    assert world.job_names() == ["prepare-0", "prepare-1", "train-0", "evaluate-0", "publish-0"]


def test_a_result_of_another_object_is_not_ours() -> None:
    world = World(make_finetunejob(retry={"failures": 0}), lambda s, a: End(0, stage_result(s, uid="other"))).run()
    assert world.condition("Stalled")["reason"] == "ResultMissing"


def test_a_job_whose_pod_is_not_here_yet_is_waited_for() -> None:
    world = World(make_finetunejob())
    world.run(until=lambda w: w.job_names() == ["prepare-0"])
    world.play()
    pods = {key: world.objects.pop(key) for key in list(world.objects) if key[0] == "Pod"}
    world.play()
    job = world.of("Job")[0]
    job["status"] = {"conditions": [{"type": "Complete", "status": "True",
                                     "lastTransitionTime": world.now.strftime("%Y-%m-%dT%H:%M:%SZ")}]}
    for key in list(world.objects):
        if key[0] == "Pod":
            del world.objects[key]
    plan = world.step()
    assert (world.stage("prepare")["state"], plan.requeue_after) == ("Running", 2.0)
    for key, pod in pods.items():
        world.end_pod(pod, good("prepare", 0))
        world.objects[key] = pod
    world.step()
    assert world.stage("prepare")["state"] == "Succeeded"
