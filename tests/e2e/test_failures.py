"""The failures that a first user meets, provoked with real pods: each has its reason and names the thing."""

import json

import pytest

from tests.e2e.conftest import CLAIM, finetunejob, modeldeployment
from tests.rig.api import Api, Object, condition

pytestmark = pytest.mark.e2e


def reason(kind: str, wanted: str) -> object:
    """True once the condition has this reason."""
    return lambda resource: condition(resource, kind).get("reason") == wanted


async def refused(api: Api, job: Object, wanted: str, *words: str, kind: str = "Ready", timeout: float = 120) -> Object:
    """Create it, wait for the reason, check the words of its message."""
    await api.create(job)
    meta = job["metadata"]
    found = await api.until(job["kind"], meta["namespace"], meta["name"], reason(kind, wanted), timeout)
    message = condition(found, kind)["message"]
    for word in words:
        assert word in message, message
    return found


async def test_a_bad_row_ends_the_run_before_training_and_is_named(api: Api, space: str) -> None:
    job = finetunejob("bad-row", dataset={"uri": f"pvc://{CLAIM}/data/bad.jsonl"})
    found = await refused(api, job, "BadData", "bad.jsonl:17", "output")
    assert condition(found, "Stalled")["status"] == "True"
    jobs = await api.list("Job", space, f"anneal.dev/uid={found['metadata']['uid']}")
    assert [j["metadata"]["labels"]["anneal.dev/stage"] for j in jobs] == ["prepare"]


async def test_a_missing_dataset_is_named(api: Api, space: str) -> None:
    job = finetunejob("no-data", dataset={"uri": f"pvc://{CLAIM}/data/none.jsonl"})
    await refused(api, job, "DatasetNotFound", "none.jsonl")


async def test_a_missing_claim_is_named_and_the_run_goes_on_when_it_appears(api: Api, space: str) -> None:
    job = finetunejob("no-claim", output={"uri": "pvc://late/out"})
    await refused(api, job, "ClaimNotFound", "late")
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "late", "namespace": space},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    await api.create(claim)
    done = await api.until(
        "FineTuneJob", space, "no-claim", lambda r: condition(r, "Ready").get("status") == "True", 300
    )
    assert done["status"]["artifact"]["uri"].startswith("pvc://late/out/runs/")


async def test_more_gpus_than_a_node_has_is_unschedulable_with_the_schedulers_words(api: Api, space: str) -> None:
    job = finetunejob("many-gpus", resources={"gpus": 8, "cpu": "1", "memory": "2Gi"})
    await refused(api, job, "Unschedulable", "nvidia.com/gpu", timeout=240)
    await api.delete("FineTuneJob", space, "many-gpus")


async def test_too_little_memory_is_oomkilled_with_the_limit(api: Api, space: str) -> None:
    job = finetunejob("small-memory", resources={"cpu": "1", "memory": "160Mi"})
    found = await refused(api, job, "OOMKilled", "160Mi", timeout=240)
    assert condition(found, "Stalled")["status"] == "True"


async def test_a_missing_secret_is_named(api: Api, space: str) -> None:
    model = {"uri": "hf://example/none", "secretRef": {"name": "hf-token"}}
    await refused(api, finetunejob("no-secret", model=model), "SecretNotFound", "hf-token", timeout=180)
    await api.delete("FineTuneJob", space, "no-secret")


async def test_serving_a_folder_that_is_no_model_is_refused(api: Api, space: str) -> None:
    deployment = modeldeployment("no-model", model={"uri": f"pvc://{CLAIM}/data"})
    await refused(api, deployment, "ArtifactInvalid", "config.json", timeout=180)


async def test_a_deployment_waits_for_a_job_that_does_not_exist(api: Api, space: str) -> None:
    deployment = modeldeployment("no-job", model={"fineTuneJobRef": {"name": "nobody"}})
    found = await refused(api, deployment, "FineTuneJobNotFound", "nobody")
    pods = await api.list("Pod", space, f"anneal.dev/uid={found['metadata']['uid']}")
    assert pods == []
    assert "Traceback" not in json.dumps(found)
