"""Line 30 of docs/security.md with a real kubelet: a token in a Secret reaches its file, and nothing else."""

import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.e2e.conftest import finetunejob
from tests.rig.api import Api, Object, condition

pytestmark = pytest.mark.e2e

CANARY = "hf_" + "c4N4rY" * 5


def over(resource: Object) -> bool:
    return condition(resource, "Stalled").get("status") == "True"


async def test_30_a_token_that_was_used_is_in_no_log_status_event_or_bundle(
    api: Api, space: str, environment: dict[str, str], tmp_path: Path
) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "canary"}, "stringData": {"token": CANARY}}
    await api.create(secret, space)
    model = {"uri": "hf://example/none", "secretRef": {"name": "canary"}}
    await api.create(finetunejob("canary", model=model, retry={"failures": 0}))
    failed = await api.until("FineTuneJob", space, "canary", over, 300)
    # There is no way to the hub from here; that the pod ran and tried is what matters.
    assert condition(failed, "Stalled")["reason"] in ("StorageUnavailable", "ModelNotFound")

    def logs(*arguments: str) -> str:
        argv = ["kubectl", "logs", "--tail=-1", *arguments]
        return subprocess.run(argv, env=environment, check=True, capture_output=True, text=True).stdout

    pod_log = logs("--namespace", space, "--selector", "anneal.dev/name=canary")
    assert pod_log
    operator = logs("--namespace", "anneal-system", "--selector", "app.kubernetes.io/name=anneal")
    bundle = tmp_path / "bundle.tar.gz"
    subprocess.run(["anneal", "report", "canary", "-n", space, "-f", str(bundle)], env=environment, check=True)
    with tarfile.open(bundle) as archive:
        files = [archive.extractfile(member) for member in archive.getmembers()]
        packed = [file.read().decode() for file in files if file]
    seen = [json.dumps(await api.list(kind, space)) for kind in ("FineTuneJob", "Event", "Pod", "Job", "ConfigMap")]
    assert [text for text in (pod_log, operator, *packed, *seen) if CANARY in text] == []
