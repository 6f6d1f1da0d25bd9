"""The hand's side of the comparison runs the same pods: only the operator's marks are gone."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from anneal_api.serve import ServeModel, ServeSpec
from benchmarks.tax.cluster import ready, started
from benchmarks.tax.copying import LABEL, by_hand, raw_server
from benchmarks.tax.serving import SCRIPT, arguments
from benchmarks.tax.training import _prefix, _stage

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden" / "desired"
OLD, NEW = "support-0f8fad5b", "hand-1"


def golden(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((GOLDEN / name).read_text())
    return found


def test_a_copied_job_runs_the_same_pod() -> None:
    job = golden("finetunejob-small/job-train.yaml")
    made = by_hand(job, OLD, NEW)
    assert "ownerReferences" not in made["metadata"]
    assert "anneal.dev" not in str(made).replace(LABEL, "")
    assert made["metadata"]["name"] == "hand-1-train-0"
    before, after = job["spec"]["template"]["spec"], made["spec"]["template"]["spec"]
    assert after["containers"] == before["containers"]
    assert str(after["volumes"]) == str(before["volumes"]).replace(OLD, NEW)


def test_what_the_server_filled_in_is_left_out() -> None:
    job = golden("finetunejob-small/job-train.yaml")
    seen = copy.deepcopy(job)
    seen["status"] = {"active": 1}
    seen["metadata"] |= {"uid": "1", "resourceVersion": "2", "creationTimestamp": "now"}
    seen["spec"]["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": "1"}}
    seen["spec"]["template"]["metadata"]["labels"]["controller-uid"] = "1"
    assert by_hand(seen, OLD, NEW) == by_hand(job, OLD, NEW)


def test_a_copied_claim_is_not_bound_to_the_old_volume() -> None:
    claim = golden("finetunejob-small/workspace.yaml")
    claim["spec"]["volumeName"] = "pv-1"
    made = by_hand(claim, OLD, NEW)
    assert "volumeName" not in made["spec"]
    assert made["spec"]["resources"] == claim["spec"]["resources"]


def test_the_raw_server_is_the_engine_alone() -> None:
    theirs = golden("modeldeployment-adapter/deployment.yaml")
    made = raw_server(theirs, ["python", "-m", "vllm"], {"OMP_NUM_THREADS": "1"}, "hand-serve")
    pod = made["spec"]["template"]["spec"]
    server = pod["containers"][0]
    assert "initContainers" not in pod
    assert server["command"] == ["python", "-m", "vllm"]
    assert {"name": "OMP_NUM_THREADS", "value": "1"} in server["env"]
    assert server["resources"] == theirs["spec"]["template"]["spec"]["containers"][0]["resources"]
    assert not {"startupProbe", "livenessProbe", "lifecycle"} & set(server)
    assert {mount["name"] for mount in server["volumeMounts"]} <= {volume["name"] for volume in pod["volumes"]}
    assert made["spec"]["selector"]["matchLabels"] == made["spec"]["template"]["metadata"]["labels"]


def test_the_raw_command_is_what_serve_would_become(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "llama", "max_position_embeddings": 512}')
    served = ServeSpec(models=[ServeModel(name="support", path=str(model))], memory_bytes=8 * 1024**3)
    (tmp_path / "serve.json").write_text(json.dumps(served.to_wire()))
    command = ["python", "-m", "anneal_server", "serve", "--spec", str(tmp_path / "serve.json")]
    argv = [sys.executable, "-c", SCRIPT, *arguments(command), "--termination-log", str(tmp_path / "log")]
    source = {**os.environ, "PYTHONPATH": f"{ROOT}/operator:{ROOT}/server_image"}
    done = subprocess.run(argv, check=True, capture_output=True, text=True, env=source, cwd=tmp_path)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["argv"][found["argv"].index("--served-model-name") + 1] == "support"
    assert found["argv"][found["argv"].index("--max-model-len") + 1] == "512"
    assert found["env"]["VLLM_CPU_KVCACHE_SPACE"] == "2"
    assert "PATH" not in found["env"]


def test_the_stages_are_found_among_the_copies() -> None:
    made = [golden("finetunejob-small/job-prepare.yaml"), golden("finetunejob-small/job-train.yaml")]
    assert _prefix(made) == OLD
    jobs = {job["metadata"]["name"]: job for job in made}
    assert _stage(jobs, "train")["metadata"]["name"].endswith("-train-0")


def test_pods_are_seen_as_they_are() -> None:
    assert not started({"status": {"phase": "Pending"}})
    assert started({"status": {"phase": "Running"}})
    assert not ready({"status": {}})
    assert ready({"status": {"conditions": [{"type": "Ready", "status": "True"}]}})
