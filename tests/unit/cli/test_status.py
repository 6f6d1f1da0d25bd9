"""`anneal status`: what it prints, how a watch ends, and what it survives."""

import json

import pytest

from anneal_cli.cluster import Change
from anneal_cli.errors import Expired, Unavailable
from tests.unit.cli import samples
from tests.unit.cli.fake import FakeCluster
from tests.unit.cli.terminal import anneal


def modified(*bodies: samples.Object) -> list[Change]:
    return [Change("MODIFIED", body) for body in bodies]


def test_a_name_that_both_kinds_have_shows_both() -> None:
    done = anneal(FakeCluster(samples.training(), samples.serving()), "status", "support")
    assert done.code == 0
    assert "FineTuneJob support" in done.out
    assert "ModelDeployment support" in done.out


def test_a_kind_in_front_shows_that_one_only() -> None:
    done = anneal(FakeCluster(samples.training(), samples.serving()), "status", "mdep/support")
    assert "FineTuneJob" not in done.out


def test_a_stalled_resource_is_exit_code_1() -> None:
    assert anneal(FakeCluster(samples.failed()), "status", "support").code == 1


def test_json_of_one_is_the_object_itself() -> None:
    done = anneal(FakeCluster(samples.training()), "status", "support", "-o", "json")
    assert json.loads(done.out) == samples.training()


def test_json_of_all_is_a_list() -> None:
    done = anneal(FakeCluster(samples.training(), samples.serving()), "status", "-o", "json")
    assert [item["kind"] for item in json.loads(done.out)["items"]] == ["FineTuneJob", "ModelDeployment"]


def test_an_empty_namespace_is_said_on_stderr() -> None:
    done = anneal(FakeCluster(), "status")
    assert (done.code, done.out) == (0, "")
    assert "in namespace default" in done.notes


def test_a_watch_ends_with_0_when_ready_and_prints_a_line_per_change() -> None:
    cluster = FakeCluster(samples.job())
    cluster.watches["finetunejobs"] = [modified(samples.training(), samples.training(), samples.succeeded())]
    done = anneal(cluster, "status", "support", "-w")
    assert done.code == 0
    assert [line.split("  ")[2] for line in done.out.splitlines()] == ["Pending", "Training", "Succeeded"]
    assert "42/69 (61%)  loss 3.01 -> 1.20  eval 1.31  381 tok/s" in done.out


def test_a_watch_ends_with_1_when_stalled_and_says_why() -> None:
    cluster = FakeCluster(samples.training())
    cluster.watches["finetunejobs"] = [modified(samples.failed())]
    done = anneal(cluster, "status", "support", "-w")
    assert done.code == 1
    assert "OOMKilled: stage train" in done.out


def test_a_long_message_stays_on_one_line() -> None:
    body = samples.failed()
    body["status"]["conditions"][1]["message"] = "last log lines:\n" + "Traceback\n" * 80
    done = anneal(FakeCluster(body), "status", "support", "-w")
    assert len(done.out.splitlines()) == 1
    assert done.out.endswith("...")


def test_a_resource_that_is_final_already_ends_the_watch_at_once() -> None:
    assert anneal(FakeCluster(samples.succeeded()), "status", "support", "-w").code == 0


@pytest.mark.parametrize("cut", [Unavailable("connection reset"), Expired("too old"), []])
def test_a_watch_survives_a_cut(cut: Unavailable | Expired | list[Change]) -> None:
    cluster = FakeCluster(samples.training())
    cluster.watches["finetunejobs"] = [cut, modified(samples.succeeded())]
    assert anneal(cluster, "status", "support", "-w").code == 0


def test_a_watch_of_a_name_in_both_kinds_waits_for_both() -> None:
    cluster = FakeCluster(samples.training(), samples.starting())
    cluster.watches["finetunejobs"] = [modified(samples.succeeded())]
    cluster.watches["modeldeployments"] = [modified(samples.serving())]
    done = anneal(cluster, "status", "support", "-w")
    assert done.code == 0
    assert {"finetunejob/support  Succeeded", "modeldeployment/support  Serving"} <= {
        "  ".join(line.split("  ")[1:3]) for line in done.out.splitlines()}


def test_a_line_of_progress_does_not_say_again_that_it_runs() -> None:
    cluster = FakeCluster(samples.training())
    cluster.watches["finetunejobs"] = [modified(samples.succeeded())]
    line = anneal(cluster, "status", "support", "-w").out.splitlines()[0]
    assert line.endswith("finetunejob/support  Training  train  42/69 (61%)  loss 3.01 -> 1.20  eval 1.31  381 tok/s")


def test_a_line_without_progress_says_why_nothing_moves() -> None:
    cluster = FakeCluster(samples.unschedulable())
    cluster.watches["finetunejobs"] = [modified(samples.succeeded())]
    line = anneal(cluster, "status", "support", "-w").out.splitlines()[0]
    assert "train  Unschedulable: pod support-1234-train-0: 0/1 nodes are available" in line


def test_a_deletion_ends_the_watch_with_1() -> None:
    cluster = FakeCluster(samples.training())
    cluster.watches["finetunejobs"] = [[Change("DELETED", samples.training())]]
    done = anneal(cluster, "status", "support", "-w")
    assert done.code == 1
    assert "was deleted" in done.notes


def test_a_timeout_is_exit_code_124() -> None:
    done = anneal(FakeCluster(samples.training()), "status", "support", "-w", "--timeout", "1s")
    assert done.code == 124
    assert "Not ready after 1 s" in done.notes


def test_a_generation_that_the_operator_has_not_seen_is_not_ready() -> None:
    edited = samples.succeeded()
    edited["metadata"]["generation"] = 2
    done = anneal(FakeCluster(edited), "status", "support", "-w", "--timeout", "1s")
    assert done.code == 124


def test_watching_json_prints_an_object_per_line() -> None:
    cluster = FakeCluster(samples.training())
    cluster.watches["finetunejobs"] = [modified(samples.succeeded())]
    done = anneal(cluster, "status", "support", "-w", "-o", "json")
    assert [json.loads(line)["status"]["phase"] for line in done.out.splitlines()][-1] == "Succeeded"


def test_a_name_in_another_namespace_is_hinted_at() -> None:
    elsewhere = samples.training()
    elsewhere["metadata"]["namespace"] = "team-a"
    done = anneal(FakeCluster(elsewhere), "status", "support")
    assert done.code == 1
    assert "No FineTuneJob or ModelDeployment named 'support' in namespace default (context test)." in done.notes
    assert "It exists in team-a: add -n team-a." in done.notes


def test_a_misspelt_name_shows_the_names_there_are() -> None:
    assert "There are: support." in anneal(FakeCluster(samples.training()), "status", "suport").notes


def test_an_unknown_kind_is_a_usage_error() -> None:
    assert anneal(FakeCluster(), "status", "pod/x").code == 2


def test_a_status_of_a_newer_operator_is_refused_in_words() -> None:
    body = samples.training()
    body["status"]["stages"] = "none"
    done = anneal(FakeCluster(body), "status", "support")
    assert done.code == 1
    assert "anneal version" in done.notes
