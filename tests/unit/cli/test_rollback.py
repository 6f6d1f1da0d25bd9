"""`anneal rollback`: which revision, what is written, and how a rolled back deployment looks."""

import copy
import json
from typing import Any

import pytest

from anneal_cli.steering import merge_patch
from tests.unit.cli import samples
from tests.unit.cli.fake import FakeCluster
from tests.unit.cli.terminal import anneal

OLD_DIGEST = "sha256:" + "11" * 32
OLD = {**samples.ARTIFACT, "uri": "pvc://models/support/runs/0000000000000001", "digest": OLD_DIGEST}
SETTINGS = {"servedName": "", "engine": {"type": "vllm", "maxModelLen": 2048},
            "resources": {"gpus": 0, "cpu": "1", "memory": "4Gi"},
            "scheduling": {"nodeSelector": {}, "tolerations": []}}
SPEC = {"model": {"fineTuneJobRef": {"name": "support"}}, "replicas": 2, **SETTINGS}


def revision(name: str, artifact: samples.Object, **settings: Any) -> samples.Object:
    return {"name": f"support-12345678-{name}", "hash": name, "artifact": artifact,
            "settings": json.dumps({**SETTINGS, **settings})}


def deployment(spec: samples.Object | None = None, **status: Any) -> samples.Object:
    body = copy.deepcopy(samples.serving())
    body["spec"] = {**SPEC, **(spec or {})}
    body["status"] |= {"stable": revision("3f0c41ab", samples.ARTIFACT), **status}
    return body


def rolled_back() -> samples.Object:
    failure = {**revision("99999999", samples.ARTIFACT, engine={"type": "vllm", "maxModelLen": 8}), "generation": 1,
               "reason": "ServerCrashed", "message": "boom"}
    message = "revision 99999999 was given up: revision 99999999, container server: ended 3 times or more; boom"
    body = deployment({"engine": {"type": "vllm", "maxModelLen": 8}}, failed=failure, phase="RolledBack")
    conditions = {c["type"]: c for c in body["status"]["conditions"]}
    conditions["Ready"] |= {"reason": "RolledBack"}
    body["status"]["conditions"].append(samples.condition("RolledBack", "True", "ServerCrashed", message, 40))
    return body


def change(body: samples.Object) -> samples.Object:
    cluster = FakeCluster(body)
    done = anneal(cluster, "rollback", "support")
    assert done.code == 0, done.notes
    ((plural, name, patch),) = cluster.patches
    assert (plural, name, list(patch)) == ("modeldeployments", "support", ["spec"])
    found: samples.Object = patch["spec"]
    return found


def test_the_model_before_is_pinned_by_its_digest() -> None:
    cluster = FakeCluster(deployment(previous=revision("00000001", OLD)))
    done = anneal(cluster, "rollback", "support")
    assert cluster.patches[0][2]["spec"] == {
        "model": {"fineTuneJobRef": None, "uri": OLD["uri"], "digest": OLD_DIGEST}}
    assert "goes back to revision 00000001" in done.out
    assert "no longer follows finetunejob/support" in done.notes


def test_settings_go_back_and_the_model_stays_where_it_is_the_same() -> None:
    before = revision("00000001", samples.ARTIFACT, servedName="old", scheduling={"nodeSelector": {"a": "b"}})
    spec = {"scheduling": {"nodeSelector": {"zone": "x"}, "tolerations": []}}
    assert change(deployment(spec, previous=before)) == {
        "servedName": "old", "scheduling": {"nodeSelector": {"zone": None, "a": "b"}, "tolerations": None}}


def test_a_rollout_under_way_goes_back_to_what_serves() -> None:
    body = deployment({"engine": {"type": "vllm", "maxModelLen": 8}}, next=revision("22222222", samples.ARTIFACT),
                      previous=revision("00000001", OLD))
    assert change(body) == {"engine": {"maxModelLen": 2048}}


def test_a_rolled_back_deployment_goes_back_to_what_serves() -> None:
    assert change(rolled_back()) == {"engine": {"maxModelLen": 2048}}


def test_an_edit_that_the_operator_has_not_seen_does_not_slip_through() -> None:
    body = deployment({"model": {"uri": "pvc://models/new"}}, previous=revision("00000001", samples.ARTIFACT))
    body["metadata"]["generation"] = 2
    assert change(body) == {"model": {"uri": samples.ARTIFACT["uri"], "digest": samples.DIGEST}}


def test_replicas_are_left_alone() -> None:
    assert "replicas" not in change(deployment(previous=revision("00000001", OLD)))


@pytest.mark.parametrize(("status", "words"), [
    ({}, "has no revision to go back to"), ({"previous": {**revision("1", OLD), "settings": ""}}, "older operator")])
def test_where_there_is_no_way_back_it_says_so(status: samples.Object, words: str) -> None:
    cluster = FakeCluster(deployment(**status))
    done = anneal(cluster, "rollback", "mdep/support")
    assert (done.code, cluster.patches) == (1, [])
    assert words in done.notes


def test_a_spec_that_asks_for_it_already_is_left_alone() -> None:
    cluster = FakeCluster(deployment(previous=revision("00000001", samples.ARTIFACT)))
    assert anneal(cluster, "rollback", "support").code == 0
    assert cluster.patches == []


def test_git_wins_and_the_change_to_make_there_is_json() -> None:
    body = deployment(previous=revision("00000001", OLD))
    body["metadata"]["labels"] = {"kustomize.toolkit.fluxcd.io/name": "models"}
    notes = anneal(FakeCluster(body), "rollback", "support").notes
    assert "managed from Git" in notes
    assert f'"digest": "{OLD_DIGEST}"' in notes


def test_a_rolled_back_deployment_is_a_failure_for_ci_and_says_why_and_what_next() -> None:
    assert anneal(FakeCluster(rolled_back()), "status", "support", "-w").code == 1
    status = anneal(FakeCluster(rolled_back()), "status", "support")
    assert status.code == 1
    assert "revision 99999999" in status.out
    assert "ServerCrashed: revision 99999999 was given up" in " ".join(status.out.split())
    explained = anneal(FakeCluster(rolled_back()), "explain", "support").out
    assert "serves the revision before the one that its spec asks for" in " ".join(explained.split())
    assert "anneal rollback support" in explained


def test_a_merge_patch_makes_the_one_into_the_other() -> None:
    old = {"a": 1, "b": {"c": 1, "d": {"e": 1}}, "f": [1]}
    assert merge_patch(old, {"a": 1, "b": {"c": 2, "d": {}}, "g": 0}) == {
        "f": None, "b": {"c": 2, "d": {"e": None}}, "g": 0}
