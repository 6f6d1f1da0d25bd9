"""Whole runs with real pods: full training evaluated and served, suspension, eviction, the same run again."""

import json

import pytest

from tests.e2e.conftest import CLAIM, finetunejob, modeldeployment
from tests.rig.api import Api, Object, condition

pytestmark = pytest.mark.e2e

LONG = {
    "epochs": 60,
    "batchSize": 4,
    "gradientAccumulation": 1,
    "learningRate": 0.001,
    "loggingSteps": 5,
    "checkpoint": {"every": "steps", "steps": 200},
}


def ready(resource: Object) -> bool:
    assert condition(resource, "Stalled").get("status") != "True", resource["status"]["conditions"]
    return condition(resource, "Ready").get("status") == "True"


def stage(resource: Object, name: str) -> Object:
    found: list[Object] = [s for s in resource.get("status", {}).get("stages", []) if s["name"] == name]
    return found[0] if found else {}


async def test_full_training_is_evaluated_published_and_served(api: Api, space: str) -> None:
    job = finetunejob(
        "full",
        method={"type": "full"},
        dataset={"uri": f"pvc://{CLAIM}/data/rows.jsonl", "split": {"validation": 0.05, "test": 0.1}},
        evaluation={"prompts": {"uri": f"pvc://{CLAIM}/data/prompts.jsonl"}, "maxNewTokens": 24},
        resources={"cpu": "1", "memory": "6Gi"},
    )
    await api.create(job)
    await api.create(modeldeployment("full", model={"fineTuneJobRef": {"name": "full"}}))
    done = await api.until("FineTuneJob", space, "full", ready, 600)
    scores = done["status"]["evaluation"]
    assert scores["perplexity"]["tuned"] < scores["perplexity"]["base"]
    assert scores["engine"].startswith("vllm")
    assert done["status"]["artifact"]["kind"] == "model"
    served = await api.until("ModelDeployment", space, "full", ready, 300)
    assert served["status"]["stable"]["artifact"]["digest"] == done["status"]["artifact"]["digest"]
    # Deleting the FineTuneJob changes nothing for the server: the artifact is pinned.
    await api.delete("FineTuneJob", space, "full")
    await api.until("FineTuneJob", space, "full", lambda found: not found, 60)
    after = await api.get("ModelDeployment", space, "full")
    assert ready(after)
    await api.delete("ModelDeployment", space, "full")


async def test_the_same_run_again_is_already_published(api: Api, space: str) -> None:
    first = finetunejob("once")
    await api.create(first)
    done = await api.until("FineTuneJob", space, "once", ready, 240)
    again = {**first, "metadata": {"name": "again", "namespace": space}}
    await api.create(again)
    found = await api.until("FineTuneJob", space, "again", ready, 120)
    assert condition(found, "Ready")["reason"] == "AlreadyPublished"
    assert found["status"]["artifact"] == done["status"]["artifact"]
    jobs = await api.list("Job", space, f"anneal.dev/uid={found['metadata']['uid']}")
    assert [j["metadata"]["labels"]["anneal.dev/stage"] for j in jobs] == ["prepare"]


async def test_suspend_saves_a_checkpoint_and_resume_goes_on_from_it(api: Api, space: str) -> None:
    await api.create(finetunejob("pause", training=LONG))
    await api.until(
        "FineTuneJob", space, "pause", lambda r: r.get("status", {}).get("progress", {}).get("step", 0) > 20, 180
    )
    await api.patch("FineTuneJob", space, "pause", {"spec": {"suspend": True}})
    held = await api.until(
        "FineTuneJob", space, "pause", lambda r: condition(r, "Ready").get("reason") == "Suspended", 150
    )
    uid = held["metadata"]["uid"]
    await api.until("Job", space, stage(held, "train")["jobName"], lambda found: not found, 150)
    # Suspended is said when no pod writes any more; the kubelet removes the ended one a moment later.
    for pod in await api.list("Pod", space, f"anneal.dev/uid={uid},anneal.dev/stage=train"):
        assert pod["status"]["phase"] in ("Succeeded", "Failed"), pod["status"]
        await api.until("Pod", space, pod["metadata"]["name"], lambda found: not found, 60)
    step = held["status"]["progress"]["step"]
    await api.patch("FineTuneJob", space, "pause", {"spec": {"suspend": False}})
    done = await api.until("FineTuneJob", space, "pause", ready, 400)
    assert stage(done, "train")["attempt"] == 1
    logs = await resumed_from(api, space, uid)
    assert logs >= step, f"resumed from step {logs}, but step {step} was reached before the suspension"


async def test_an_evicted_pod_resumes_in_the_same_job_and_no_attempt_is_consumed(api: Api, space: str) -> None:
    await api.create(finetunejob("evict", training=LONG))
    running = await api.until(
        "FineTuneJob", space, "evict", lambda r: r.get("status", {}).get("progress", {}).get("step", 0) > 20, 180
    )
    uid = running["metadata"]["uid"]
    pod = (await api.list("Pod", space, f"anneal.dev/uid={uid},anneal.dev/stage=train"))[0]["metadata"]["name"]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": space}}
    await api.call("POST", f"/api/v1/namespaces/{space}/pods/{pod}/eviction", eviction)
    done = await api.until("FineTuneJob", space, "evict", ready, 400)
    assert stage(done, "train")["attempt"] == 0
    assert stage(done, "train")["disruptions"] == 1
    assert await resumed_from(api, space, uid) > 0


async def resumed_from(api: Api, space: str, uid: str) -> int:
    """The step that the newest train pod says it resumed from, in its termination message."""
    pods = await api.list("Pod", space, f"anneal.dev/uid={uid},anneal.dev/stage=train")
    newest = max(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
    message = newest["status"]["containerStatuses"][0]["state"]["terminated"]["message"]
    return int(json.loads(message)["train"]["resumedFromStep"])
