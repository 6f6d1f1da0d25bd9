"""What is remembered of an object; that decisions need no more is what all tests of `decide` show."""

from typing import Any

import pytest

from anneal_operator.desired.names import labels
from anneal_operator.kube.kinds import CONFIG_MAP, DEPLOYMENT, FINETUNEJOB, JOB, POD, Kind
from anneal_operator.kube.trim import LAST_APPLIED, trim


def test_of_a_job_is_remembered_how_it_ended() -> None:
    end = [{"type": "Complete", "status": "True"}]
    job = {"kind": "Job", "metadata": {"name": "a"}, "spec": {"template": {}},
           "status": {"conditions": end, "succeeded": 1}}
    assert trim(JOB, job) == {"kind": "Job", "metadata": {"name": "a"}, "status": {"conditions": end}}
    assert "spec" in job


@pytest.mark.parametrize(("kind", "kept"), [(POD, {"name": "a"}), (FINETUNEJOB, {
    "name": "a", "resourceVersion": "5", "finalizers": ["f"]})])
def test_what_changes_without_a_meaning_for_us_is_not_remembered_of_children(kind: Kind, kept: dict[str, Any]) -> None:
    about = {"name": "a", "resourceVersion": "5", "finalizers": ["f"]}
    assert trim(kind, {"metadata": about})["metadata"] == kept


def test_a_pod_is_remembered_by_node_claims_and_resources() -> None:
    asked = {"limits": {"memory": "1Gi"}}
    claim = {"name": "w", "persistentVolumeClaim": {"claimName": "w"}}
    pod = {"metadata": {"name": "a"}, "status": {"phase": "Running"}, "spec": {
        "nodeName": "n", "volumes": [claim, {"name": "tmp", "emptyDir": {}}], "securityContext": {},
        "initContainers": [{"name": "engine", "command": ["x"]}],
        "containers": [{"name": "trainer", "image": "i", "env": [], "resources": asked}]}}
    assert trim(POD, pod) == {"metadata": {"name": "a"}, "status": {"phase": "Running"}, "spec": {
        "nodeName": "n", "volumes": [claim], "initContainers": [{"name": "engine", "resources": {}}],
        "containers": [{"name": "trainer", "resources": asked}]}}


@pytest.mark.parametrize(("kind", "kept"), [("FineTuneJob", False), ("ModelDeployment", True)])
def test_only_what_is_applied_again_is_remembered_whole(kind: str, kept: bool) -> None:
    config = {"metadata": {"name": "a", "labels": labels(kind, "r", "u")}, "data": {"serve.json": "{}"}}
    assert ("data" in trim(CONFIG_MAP, config)) is kept


def test_what_others_note_about_an_object_is_not_remembered() -> None:
    about: dict[str, Any] = {"name": "a", "annotations": {LAST_APPLIED: "{}", "ours": "1"}, "managedFields": [{}]}
    deployment = {"metadata": about, "spec": {"replicas": 1}}
    assert trim(DEPLOYMENT, deployment) == {"metadata": {"name": "a", "annotations": {"ours": "1"}},
                                            "spec": {"replicas": 1}}
