"""`anneal logs`: order, prefixes, and following across stages, restarts and cut connections."""

from typing import Any

import pytest

from anneal_api.serve import Verified
from anneal_cli import kinds
from anneal_cli.cluster import Change
from anneal_cli.errors import Unavailable
from anneal_operator.desired import names
from tests.unit.cli import samples
from tests.unit.cli.fake import FakeCluster
from tests.unit.cli.terminal import anneal

JOB_UID = "finetunejob-support-uid"
SERVER_UID = "modeldeployment-support-uid"


def pod(name: str, stage: str | None, *, attempt: int = 0, state: str = "terminated", run: int = 1,
        uid: str = JOB_UID, sidecar: bool = False, created: float = 0) -> samples.Object:
    """A pod with a container called `main` in its `run`-th run."""
    labels = {kinds.LABEL_UID: uid, **({kinds.LABEL_STAGE: stage, kinds.LABEL_ATTEMPT: str(attempt)} if stage else {})}
    engine: list[dict[str, Any]] = [{"name": "engine", "restartPolicy": "Always"}] if sidecar else []
    started = {"containerID": f"{name}-{run}"} if state != "waiting" else {}
    statuses = [{"name": "main", "state": {state: {}}, **started}]
    engines = [{"name": "engine", "state": {state: {}}, "containerID": f"{name}-engine"}] if sidecar else []
    return {"kind": "Pod", "metadata": {"name": name, "namespace": "default", "uid": f"{name}-uid", "labels": labels,
                                        "creationTimestamp": samples.at(created)},
            "spec": {"initContainers": engine, "containers": [{"name": "main"}]},
            "status": {"containerStatuses": statuses, "initContainerStatuses": engines}}


def stamped(*lines: str, start: int = 0) -> list[str]:
    return [f"2026-03-02T10:00:{start + n:02}.5Z {line}" for n, line in enumerate(lines)]


def test_stages_come_in_order_whatever_the_order_of_pods() -> None:
    cluster = FakeCluster(samples.succeeded(), pod("c", "train", attempt=1), pod("b", "train"), pod("a", "publish"),
                          pod("d", "prepare"))
    for name in "abcd":
        cluster.logs[name, "main"] = [[f"from {name}"]]
    done = anneal(cluster, "logs", "support")
    assert done.out.splitlines() == ["[prepare-0] from d", "[train-0] from b", "[train-1] from c", "[publish-0] from a"]


def test_progress_lines_are_words_and_other_lines_stay() -> None:
    cluster = FakeCluster(samples.training(), pod("a", "train"))
    verified = Verified(seconds=0.31, time=samples.at(2)).line()
    plain = "[bold]plain[/bold] \x1b[31mline"
    cluster.logs["a", "main"] = [[samples.progress_line(42), plain, "10%\r100%\r", verified]]
    assert anneal(cluster, "logs", "support").out.splitlines() == [
        "[train-0] step 42/69  epoch 1.00  loss 1.2500  lr 1.0e-04  380 tok/s  ETA 1m10s",
        "[train-0] [bold]plain[/bold] [31mline", "[train-0] 100%",
        "[train-0] every file is as pinned, checked in 0.3 s"]


def test_one_stage_and_the_last_lines_only() -> None:
    cluster = FakeCluster(samples.training(), pod("a", "prepare"), pod("b", "train"))
    cluster.logs["b", "main"] = [["x"]]
    assert anneal(cluster, "logs", "support", "--stage", "train", "--tail", "5").out == "[train-0] x"
    assert cluster.log_params == [{"container": "main", "tailLines": "5"}]


def test_sidecars_talk_only_when_asked() -> None:
    cluster = FakeCluster(samples.training(), pod("a", "evaluate", sidecar=True))
    cluster.logs |= {("a", "main"): [["score"]], ("a", "engine"): [["chatter"]]}
    assert anneal(cluster, "logs", "support").out == "[evaluate-0] score"
    both = anneal(cluster, "logs", "support", "--all-containers").out.splitlines()
    assert both == ["[evaluate-0/engine] chatter", "[evaluate-0/main] score"]


def test_a_sidecar_that_failed_talks_unasked() -> None:
    failed = pod("a", "evaluate", sidecar=True)
    failed["status"]["initContainerStatuses"][0]["lastState"] = {"terminated": {"exitCode": 1}}
    cluster = FakeCluster(samples.training(), failed)
    cluster.logs |= {("a", "main"): [["waiting"]], ("a", "engine"): [["no memory"]]}
    assert anneal(cluster, "logs", "support").out.splitlines() == [
        "[evaluate-0/engine] no memory", "[evaluate-0/main] waiting"]


def test_servers_are_numbered_by_age() -> None:
    cluster = FakeCluster(samples.training(), samples.serving(), pod("z", None, uid=SERVER_UID),
                          pod("y", None, uid=SERVER_UID, created=5))
    cluster.logs |= {("z", "main"): [["old"]], ("y", "main"): [["new"]]}
    assert anneal(cluster, "logs", "support", "--stage", "serve").out.splitlines() == ["[serve-0] old", "[serve-1] new"]


def test_no_log_yet_is_an_error_that_says_where_the_run_stands() -> None:
    done = anneal(FakeCluster(samples.training(), pod("a", "prepare", state="waiting")), "logs", "support")
    assert done.code == 1
    assert "finetunejob/support has no container with a log: it is Training, with 1 pods." in done.notes


def test_following_goes_from_stage_to_stage_and_ends_with_the_run() -> None:
    cluster = FakeCluster(samples.training(), pod("a", "prepare"), pod("b", "train", state="running"))
    cluster.logs |= {("a", "main"): [["ready"]], ("b", "main"): [stamped("one", "two")], ("c", "main"): [["put"]]}
    cluster.watches["finetunejobs"] = [[Change("MODIFIED", samples.succeeded())]]
    cluster.put(pod("c", "publish"))
    cluster.get_pod = lambda: pod("b", "train")
    done = anneal(cluster, "logs", "support", "-f")
    assert done.code == 0
    assert done.out.splitlines() == ["[prepare-0] ready", "[publish-0] put", "[train-0] one", "[train-0] two"]


def test_following_a_failed_run_is_exit_code_1() -> None:
    cluster = FakeCluster(samples.failed(), pod("a", "train"))
    cluster.logs["a", "main"] = [["no memory"]]
    done = anneal(cluster, "logs", "support", "-f")
    assert (done.code, done.out) == (1, "[train-0] no memory")


@pytest.mark.parametrize("cut", [[], [Unavailable("reset")]])
def test_a_cut_connection_goes_on_after_the_last_line(cut: list[Unavailable]) -> None:
    running = pod("a", "train", state="running")
    cluster = FakeCluster(samples.training(), running)
    cluster.logs["a", "main"] = [stamped("one", "two"), *cut, stamped("two", "three", start=1)]
    cluster.watches["finetunejobs"] = [[Change("MODIFIED", samples.succeeded())]]
    reads = iter([running] * (1 + len(cut)) + [pod("a", "train")])
    cluster.get_pod = lambda: next(reads)
    done = anneal(cluster, "logs", "support", "-f")
    assert done.out.splitlines() == ["[train-0] one", "[train-0] two", "[train-0] three"]
    assert cluster.log_params[-1]["sinceTime"] == "2026-03-02T10:00:01.5Z"


def test_a_restarted_container_is_followed_again() -> None:
    cluster = FakeCluster(samples.training(), pod("a", "train"))
    cluster.logs["a", "main"] = [["first run"], stamped("second run")]
    cluster.watches["pods"] = [[Change("MODIFIED", pod("a", "train", state="running", run=2))]]
    cluster.watches["finetunejobs"] = [Unavailable("later"), [Change("MODIFIED", samples.succeeded())]]
    cluster.get_pod = lambda: pod("a", "train", run=2)
    done = anneal(cluster, "logs", "support", "-f")
    assert done.out.splitlines() == ["[train-0] first run", "[train-0] second run"]


def test_the_labels_are_those_that_the_operator_writes() -> None:
    assert (kinds.LABEL_UID, kinds.LABEL_STAGE, kinds.LABEL_ATTEMPT) == (
        names.LABEL_UID, names.LABEL_STAGE, names.LABEL_ATTEMPT)
