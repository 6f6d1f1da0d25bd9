"""What is remembered of an object; that decisions need no more is what all tests of `decide` show."""

from typing import Any

import pytest

from anneal_operator.desired.names import labels
from anneal_operator.kube.kinds import CONFIG_MAP, DEPLOYMENT, JOB, POD
from anneal_operator.kube.trim import LAST_APPLIED, trim


def test_a_job_is_remembered_without_its_template() -> None:
    job = {"kind": "Job", "metadata": {"name": "a"}, "spec": {"template": {}}, "status": {"active": 1}}
    assert trim(JOB, job) == {"kind": "Job", "metadata": {"name": "a"}, "status": {"active": 1}}
    assert "spec" in job


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
