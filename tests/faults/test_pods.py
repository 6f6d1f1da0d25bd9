"""F17, F24, F25, F28, F36: pods that do not start, do not end, take their time, or tell that there is no data."""

import json
from collections.abc import AsyncIterator
from datetime import datetime

import pytest

from anneal_api.termination import ExitCode
from anneal_operator.desired.serving import PROBE_SECONDS
from tests.rig.api import Object
from tests.rig.lives import serve, train
from tests.rig.player import End, default_script
from tests.rig.world import World, finetunejob, modeldeployment

pytestmark = pytest.mark.apiserver

SEEN_SECONDS = 30
IMAGE_MINUTES = 10
LOST = "lost"
NODE_GRACE_SECONDS = 50
"""So long the node controller of Kubernetes waits for a sign of a node."""


def stage(resource: Object, name: str) -> Object:
    found: Object = next(s for s in resource["status"]["stages"] if s["name"] == name)
    return found


async def test_a_lost_node_never_gives_a_stage_two_pods(world: World) -> None:
    """F17: the node is gone, its pod hangs in deletion; only when the pod is gone does the next attempt start."""
    await train(world)
    (pod,) = await world.api.list("Pod", world.namespace, "anneal.dev/stage=train")
    name = pod["metadata"]["name"]
    world.player.dead.add(name)
    await world.api.delete("Pod", world.namespace, name)
    await world.api.patch("FineTuneJob", world.namespace, "run", {"spec": {"suspend": True}})
    await world.gone("Job", "anneal.dev/stage=train")
    await world.api.patch("FineTuneJob", world.namespace, "run", {"spec": {"suspend": False}})
    await world.api.until("FineTuneJob", world.namespace, "run", _waits_for_the_pod_before, SEEN_SECONDS)
    world.player.hold.discard("train")
    # A whole other life passes meanwhile.
    await world.api.create(finetunejob("other", output={"uri": "pvc://models/other"}), world.namespace)
    await world.until("FineTuneJob", "other", "True", "Published", 60)
    assert [job["metadata"]["name"] for job in await world.api.list(
        "Job", world.namespace, "anneal.dev/stage=train,anneal.dev/name=run")
        if "deletionTimestamp" not in job["metadata"]] == []
    await world.api.delete("Pod", world.namespace, name, gracePeriodSeconds=0)
    published = await world.until("FineTuneJob", "run", "True", "Published", 90)
    assert stage(published, "train")["attempt"] == 1


@pytest.fixture
async def lost_node(world: World) -> AsyncIterator[None]:
    """A node that nobody hears of again: no Player renews its Lease."""
    await world.player.node(LOST)
    yield
    await world.api.delete("Node", "", LOST)


async def test_a_silent_node_is_waited_for_half_a_minute(world: World, lost_node: None) -> None:
    """F17, with the real node, eviction and pod garbage controllers."""
    world.player.hold.add("train")
    job = finetunejob("run", scheduling={"nodeSelector": {"kubernetes.io/hostname": LOST}})
    await world.api.create(job, world.namespace)
    await world.api.until("FineTuneJob", world.namespace, "run", _pod_runs, 60)
    pod = await _train_pod(world)
    name = pod["metadata"]["name"]
    world.player.dead.add(name)
    waits = {t["key"]: t.get("tolerationSeconds") for t in pod["spec"]["tolerations"]}
    assert waits == {"node.kubernetes.io/not-ready": 30, "node.kubernetes.io/unreachable": 30}, "300 is the default"

    evicted = await world.api.until("Pod", world.namespace, name, _ending, NODE_GRACE_SECONDS + 60)
    node = await world.api.get("Node", "", LOST)
    silent = next(t["timeAdded"] for t in node["spec"]["taints"] if t.get("effect") == "NoExecute")
    assert 29 <= (_evicted_at(evicted) - datetime.fromisoformat(silent)).total_seconds() <= 35
    world.proxy.ahead_seconds = int(evicted["spec"]["terminationGracePeriodSeconds"]) + 35
    said = await world.until("FineTuneJob", "run", "False", "NodeLost", SEEN_SECONDS)
    assert f"node {LOST} does not say that it has" in json.dumps(said["status"])
    assert (await _train_pod(world))["metadata"]["uid"] == pod["metadata"]["uid"], "the first may still write"

    out = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}
    await world.api.patch("Node", "", LOST, {"spec": {"taints": [*node["spec"]["taints"], out]}})
    await world.api.until("Pod", world.namespace, name, lambda found: not found, 60)
    world.player.hold.discard("train")
    await world.api.patch("Node", "", LOST, {"spec": {"taints": []}})
    await world.player.node(LOST)
    published = await world.until("FineTuneJob", "run", "True", "Published", 60)
    assert (stage(published, "train")["attempt"], stage(published, "train")["failures"]) == (0, 0)


def _pod_runs(resource: Object) -> bool:
    return any("is running" in s.get("message", "") for s in resource.get("status", {}).get("stages", [])
               if s["name"] == "train")


async def _train_pod(world: World) -> Object:
    (pod,) = await world.api.list("Pod", world.namespace, "anneal.dev/stage=train")
    return pod


def _ending(pod: Object) -> bool:
    return "deletionTimestamp" in pod.get("metadata", {})


def _evicted_at(pod: Object) -> datetime:
    (found,) = [c for c in pod["status"]["conditions"] if c["type"] == "DisruptionTarget"]
    assert found["reason"] == "DeletionByTaintManager"
    return datetime.fromisoformat(found["lastTransitionTime"])


def _waits_for_the_pod_before(resource: Object) -> bool:
    return any("waiting for the pod of the attempt before" in c["message"] for c in resource["status"]["conditions"])


async def test_an_image_that_cannot_be_pulled_is_named_and_the_run_recovers(world: World) -> None:
    """F24."""
    world.player.waiting["prepare"] = "ImagePullBackOff"
    await world.api.create(finetunejob("run"), world.namespace)
    said = await world.until("FineTuneJob", "run", "False", "ImagePullFailed", SEEN_SECONDS)
    assert "example.com/trainer:1" in json.dumps(said["status"])
    world.player.waiting.clear()
    await world.player.replay(world.namespace)
    published = await world.until("FineTuneJob", "run", "True", "Published", 60)
    assert [s["failures"] for s in published["status"]["stages"]] == [0, 0, 0, 0]


async def test_an_image_that_cannot_be_pulled_for_long_ends_the_run(world: World) -> None:
    """F24: after ten minutes by the API server's clock; the proxy turns it on."""
    world.player.waiting["prepare"] = "ErrImagePull"
    await world.api.create(finetunejob("run"), world.namespace)
    await world.until("FineTuneJob", "run", "False", "ImagePullFailed", SEEN_SECONDS)
    world.proxy.ahead_seconds = IMAGE_MINUTES * 60 + 5
    failed = await world.api.until("FineTuneJob", world.namespace, "run", _failed, SEEN_SECONDS)
    assert stage(failed, "prepare")["reason"] == "ImagePullFailed"


def _failed(resource: Object) -> bool:
    return bool(resource["status"].get("phase") == "Failed")


GPUS = {"cpu": "1", "memory": "1Gi"}


async def test_a_run_that_asks_for_more_gpus_than_there_are_waits_and_says_so(world: World) -> None:
    """F25: the node has eight; the scheduler is real. Asking for less goes on, and no attempt is lost."""
    await world.api.create(finetunejob("run", resources={**GPUS, "gpus": 9}), world.namespace)
    said = await world.until("FineTuneJob", "run", "False", "Unschedulable", SEEN_SECONDS + 20)
    assert "nvidia.com/gpu" in json.dumps(stage(said, "train"))
    await world.api.patch("FineTuneJob", world.namespace, "run", {"spec": {"resources": {"gpus": 1}}})
    published = await world.until("FineTuneJob", "run", "True", "Published", 60)
    assert stage(published, "train")["failures"] == 0


async def test_a_revision_without_room_leaves_the_serving_one_alone(world: World) -> None:
    """F25, I4: two revisions of eight GPUs each do not fit."""
    served = await serve(world, resources={**GPUS, "gpus": 8})
    (before,) = await world.api.list("Pod", world.namespace, "anneal.dev/revision")
    await world.api.patch("ModelDeployment", world.namespace, "serve", {"spec": {"engine": {"maxModelLen": 512}}})
    said = await world.until("ModelDeployment", "serve", "False", "InsufficientSurgeCapacity", SEEN_SECONDS + 20)
    assert said["status"]["stable"]["hash"] == served["status"]["stable"]["hash"]
    pods = {pod["metadata"]["uid"]: pod for pod in await world.api.list("Pod", world.namespace, "anneal.dev/revision")}
    assert pods[before["metadata"]["uid"]]["status"]["phase"] == "Running"
    await world.api.delete("ModelDeployment", world.namespace, "serve")
    await world.nothing_left(served["metadata"]["uid"])


@pytest.mark.parametrize(("code", "reason"), [
    (ExitCode.DATASET_NOT_FOUND, "DatasetNotFound"), (ExitCode.BAD_DATA, "BadData"),
])
async def test_data_that_is_not_there_ends_the_run_before_a_gpu_is_asked_for(
    world: World, code: ExitCode, reason: str,
) -> None:
    """F28."""
    world.player.script = lambda pod: End(code, json.dumps({"message": "pvc://data/rows.jsonl: no such file"}))
    await world.api.create(finetunejob("run", resources={**GPUS, "gpus": 1}), world.namespace)
    failed = await world.until("FineTuneJob", "run", "False", reason, SEEN_SECONDS)
    assert stage(failed, "prepare")["failures"] == 0
    assert [w.path for w in world.proxy.writes if (w.method, w.resource) == ("POST", "jobs")][1:] == []


async def test_a_server_that_loads_slowly_is_waited_for(world: World) -> None:
    """F36: no restart, no failure, no traffic before it is Ready; the startup probe allows for it."""
    world.player.loading = True
    await world.api.create(modeldeployment("serve"), world.namespace)
    await world.until("ModelDeployment", "serve", "False", "Starting", SEEN_SECONDS)
    # A whole other life passes meanwhile.
    await world.api.create(finetunejob("other"), world.namespace)
    await world.until("FineTuneJob", "other", "True", "Published", 60)
    waiting = await world.until("ModelDeployment", "serve", "False", "Starting", SEEN_SECONDS)
    assert waiting["status"]["phase"] == "Starting"
    (pod,) = await world.api.list("Pod", world.namespace, "anneal.dev/revision")
    (server,) = [c for c in pod["spec"]["containers"] if "startupProbe" in c]
    assert PROBE_SECONDS * server["startupProbe"]["failureThreshold"] >= IMAGE_MINUTES * 60
    world.player.loading = False
    await world.player.replay(world.namespace)
    await world.until("ModelDeployment", "serve", "True", "Serving", SEEN_SECONDS)
    (after,) = await world.api.list("Pod", world.namespace, "anneal.dev/revision")
    assert after["metadata"]["uid"] == pod["metadata"]["uid"]


async def test_what_crashes_is_tried_again_and_then_given_up(world: World) -> None:
    """I8: never more attempts than spec.retry.failures allows and one."""
    def script(pod: Object) -> End:
        return End(1) if pod["metadata"]["labels"].get("anneal.dev/stage") == "train" else default_script(pod)

    world.player.script = script
    await world.api.create(finetunejob("run", retry={"failures": 1}), world.namespace)
    failed = await world.until("FineTuneJob", "run", "False", "Crashed", 60)
    assert (stage(failed, "train")["failures"], stage(failed, "train")["attempt"]) == (1, 1)
    made = [w for w in world.proxy.writes if (w.method, w.resource) == ("POST", "jobs")]
    assert len(made) == 3
