"""The hand's side of the comparison runs the same pods: only the operator's marks are gone."""

import copy
from pathlib import Path
from typing import Any

import yaml

from benchmarks.tax.cluster import _seconds, ready, started
from benchmarks.tax.copying import LABEL, by_hand, engine_variables, raw_server
from benchmarks.tax.training import _prefix, _stage

GOLDEN = Path(__file__).parents[2] / "golden" / "desired"
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


def test_only_the_engines_variables_are_taken_over() -> None:
    environ = b"PATH=/bin\0VLLM_CPU_KVCACHE_SPACE=1\0OMP_NUM_THREADS=2\0KUBERNETES_PORT=1\0HOME=/tmp\0"
    assert engine_variables(environ) == {"VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "2"}


def test_the_stages_are_found_among_the_copies() -> None:
    made = [golden("finetunejob-small/job-prepare.yaml"), golden("finetunejob-small/job-train.yaml")]
    assert _prefix(made) == OLD
    jobs = {job["metadata"]["name"]: job for job in made}
    assert _stage(jobs, "train")["metadata"]["name"].endswith("-train-0")


def test_time_stamps_of_the_container_runtime() -> None:
    assert _seconds("1970-01-01T00:01:00.250000001Z") == 60.250000001
    assert _seconds("1970-01-01T00:01:00Z") == 60.0


def test_pods_are_seen_as_they_are() -> None:
    assert not started({"status": {"phase": "Pending"}})
    assert started({"status": {"phase": "Running"}})
    assert not ready({"status": {}})
    assert ready({"status": {"conditions": [{"type": "Ready", "status": "True"}]}})
