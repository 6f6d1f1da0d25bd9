"""The verbs that answer at once: list, events, explain, retry, suspend, resume, version."""

import copy
import json
from typing import Any

import pytest

from anneal_api import crd
from anneal_cli.__main__ import main
from anneal_cli.errors import CliError
from tests.unit.cli import samples
from tests.unit.cli.fake import FakeCluster
from tests.unit.cli.terminal import anneal


def event(name: str, reason: str, seconds: float, kind: str = "Pod", **more: Any) -> samples.Object:
    return {"kind": "Event", "metadata": {"name": f"{name}.{reason}", "namespace": "default"}, "reason": reason,
            "type": "Warning", "message": f"about\n{name}", "lastTimestamp": samples.at(seconds),
            "involvedObject": {"kind": kind, "name": name}, **more}


def crds() -> list[samples.Object]:
    return [copy.deepcopy(crd.definition(kind)) for kind in crd.KINDS]


def test_list_shows_a_line_for_each() -> None:
    done = anneal(FakeCluster(samples.training(), samples.serving()), "list")
    assert [line.split()[:2] for line in done.out.splitlines()] == [
        ["NAME", "PHASE"], ["ftj/support", "Training"], ["mdep/support", "Serving"]]


def test_list_of_all_namespaces_says_which() -> None:
    other = samples.job(name="other")
    other["metadata"]["namespace"] = "team-a"
    done = anneal(FakeCluster(samples.training(), other), "list", "-A")
    assert [line.split()[0] for line in done.out.splitlines()[1:]] == ["default", "team-a"]


def test_events_are_those_of_the_resource_and_its_children_oldest_first() -> None:
    cluster = FakeCluster(samples.training(), event("support-finetune-train-0", "Pulled", 30),
                          event("other", "Alien", 5), event("support", "Accepted", 10, "FineTuneJob", count=3))
    cluster.objects["events", "default", "support.Accepted"]["involvedObject"]["uid"] = "finetunejob-support-uid"
    lines = anneal(cluster, "events", "support").out.splitlines()
    assert [line.split()[1] for line in lines] == ["REASON", "Accepted", "Pulled"]
    assert "about support (x3)" in lines[1]


def test_explain_says_reason_meaning_fix_and_what_next() -> None:
    out = anneal(FakeCluster(samples.failed()), "explain", "support").out
    assert "has failed and will not go on by itself" in out
    assert "OOMKilled. The kernel killed the container" in out
    assert "Raise spec.resources.memory" in out
    assert "anneal retry support" in out


def test_explain_as_json_is_for_programs() -> None:
    found = json.loads(anneal(FakeCluster(samples.failed()), "explain", "support", "-o", "json").out)
    assert (found[0]["reason"], found[0]["final"], found[0]["state"]) == ("OOMKilled", True, "Stalled")


def test_the_advice_of_a_message_stands_for_that_of_the_catalogue() -> None:
    body = samples.failed()
    body["status"]["conditions"][1]["message"] = "the claim is gone. Fix: create claim data."
    for verb in ("explain", "status"):
        out = anneal(FakeCluster(body), verb, "support").out
        assert out.count("Fix:") == 1
        assert "create claim data." in out


def test_retry_makes_a_new_run() -> None:
    cluster = FakeCluster(samples.failed())
    assert anneal(cluster, "retry", "support").code == 0
    assert cluster.patches == [("finetunejobs", "support", {"spec": {"runId": "20260302-100140"}})]


def test_retry_is_refused_while_a_run_is_under_way() -> None:
    cluster = FakeCluster(samples.training())
    done = anneal(cluster, "retry", "support")
    assert (done.code, cluster.patches) == (1, [])
    assert "has a run under way (Training)" in done.notes


@pytest.mark.parametrize(("verb", "body", "change"), [
    ("suspend", samples.training(), {"suspend": True}), ("suspend", samples.suspended(), None),
    ("suspend", samples.succeeded(), None), ("resume", samples.suspended(), {"suspend": False}),
    ("resume", samples.training(), None)])
def test_suspend_and_resume_change_the_spec_only_where_needed(verb: str, body: samples.Object,
                                                              change: dict[str, bool] | None) -> None:
    cluster = FakeCluster(body)
    assert anneal(cluster, verb, "support").code == 0
    assert cluster.patches == ([("finetunejobs", "support", {"spec": change})] if change else [])


def test_a_change_to_a_resource_from_git_warns_that_git_wins() -> None:
    body = samples.training()
    body["metadata"]["labels"] = {"argocd.argoproj.io/instance": "models"}
    assert "managed from Git" in anneal(FakeCluster(body), "suspend", "support").notes


def test_suspend_means_finetunejobs_only() -> None:
    done = anneal(FakeCluster(samples.serving()), "suspend", "support")
    assert done.code == 1
    assert "No FineTuneJob named 'support'" in done.notes


def test_version_is_ok_when_the_crds_are_ours() -> None:
    done = anneal(FakeCluster(*crds()), "version")
    assert done.code == 0
    assert "finetunejobs.anneal.dev: ok" in done.out
    assert "v1.37.2" in done.out


def test_version_tells_its_own_where_no_cluster_answers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version", "--kubeconfig", "/nowhere"]) == 1
    told = capsys.readouterr()
    assert told.out.startswith("anneal ")
    assert "No cluster to talk to" in told.err


def test_version_names_the_fields_that_an_older_crd_lacks() -> None:
    older = crds()
    spec = older[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    del spec["deadline"]
    done = anneal(FakeCluster(*older), "version")
    assert done.code == 1
    assert "finetunejobs.anneal.dev: older than anneal: lacks spec.deadline; upgrade the chart" in done.out


def test_version_says_so_when_the_cluster_is_ahead() -> None:
    newer = crds()
    spec = newer[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    spec["quantum"] = {"type": "boolean"}
    assert "newer than anneal: has spec.quantum; upgrade anneal" in anneal(FakeCluster(*newer), "version").out


def test_version_without_crds_says_not_installed() -> None:
    done = anneal(FakeCluster(), "version", "-o", "json")
    assert done.code == 1
    assert json.loads(done.out)["crds"]["finetunejobs.anneal.dev"] == "not installed"


def test_version_of_the_client_asks_no_cluster() -> None:
    cluster = FakeCluster()
    cluster.documents.clear()
    assert anneal(cluster, "version", "--client").code == 0


def test_an_error_has_no_traceback_and_says_the_fix() -> None:
    cluster = FakeCluster()
    cluster.failures["finetunejobs"] = CliError("You may not list finetunejobs.", "Ask for anneal-view.")
    done = anneal(cluster, "list")
    assert (done.code, done.out) == (1, "")
    assert done.notes == "Error: You may not list finetunejobs.\nFix: Ask for anneal-view."
