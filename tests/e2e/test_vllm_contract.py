"""The contract of the API, held against the vLLM that the demo left serving. Last, for a fuzzer is no friend."""

import os
import subprocess

import pytest

from anneal_api.serve import PORT
from anneal_dev.environment import ROOT, python_of
from tests.rig.api import Api

pytestmark = pytest.mark.e2e

DEMO = "anneal-demo"


async def test_the_official_client_and_a_fuzzer_speak_to_vllm(api: Api) -> None:
    pods = await api.list("Pod", DEMO, "anneal.dev/kind=ModelDeployment,anneal.dev/name=support,anneal.dev/revision")
    (pod,) = [pod for pod in pods if pod["status"]["phase"] == "Running"]
    url = f"http://{pod['status']['podIP']}:{PORT}"
    env = {**os.environ, "ANNEAL_VLLM_URL": url, "ANNEAL_VLLM_MODEL": "support"}
    argv = [python_of("trainer"), "-m", "pytest", "-q", "-m", "torch", "tests/contract/test_on_vllm.py"]
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:]
    after = await api.get("Pod", DEMO, pod["metadata"]["name"])
    assert [container["restartCount"] for container in after["status"]["containerStatuses"]] == [0]
