"""How the controller benchmark counts, and when it says that a goal is missed."""

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from anneal_operator.desired.names import LABEL_NAME, LABEL_STAGE
from benchmarks.controller import audit, report
from benchmarks.controller.kubelet import Kubelet
from benchmarks.controller.plane import USER
from tests.rig.api import Api
from tests.rig.player import End


def entry(verb: str, resource: str, name: str, second: float, user: str = USER, **more: Any) -> str:
    time = f"2026-03-02T09:00:{second:09.6f}Z"
    return json.dumps({
        "user": {"username": user}, "verb": verb, "requestURI": "/x", "requestReceivedTimestamp": time,
        "stageTimestamp": time, "objectRef": {"resource": resource, "name": name, **more},
        "responseStatus": {"code": 201 if verb == "create" else 200}}) + "\n"


def test_requests_are_read_as_far_as_they_are_written(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    first, second = entry("patch", "finetunejobs", "a", 1, subresource="status"), entry("get", "pods", "b", 2)
    log.write_text(first + second[:20])
    found, offset = audit.read(log)
    assert [(r.verb, r.resource, r.name) for r in found] == [("patch", "finetunejobs/status", "a")]
    log.write_text(first + second)
    found, _ = audit.read(log, offset)
    assert [(r.verb, r.resource) for r in found] == [("get", "pods")]


def test_a_renewed_lease_is_no_write(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text("".join(entry(*words, 1) for words in (
        ("update", "leases", "l"), ("create", "events", "e"), ("watch", "jobs", ""))))
    assert [r.write for r in audit.read(log)[0]] == [False, True, False]


def test_the_latency_is_from_the_resource_to_its_first_job(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(entry("create", "finetunejobs", "ftj-1", 1, user="load") + entry("create", "configmaps", "x", 1.1)
                   + entry("create", "jobs", "ftj-1-0123abcd-prepare-0", 1.25)
                   + entry("create", "jobs", "ftj-1-0123abcd-train-0", 9))
    assert [round(s, 3) for s in audit.latencies(audit.read(log)[0], ["ftj-1"])] == [0.25]


def test_each_phase_is_shared_by_those_that_went_through_it(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    done = entry("create", "jobs", "a", 1) * 4 + entry("patch", "finetunejobs", "a", 2, subresource="status") * 2
    log.write_text(done)
    requests, _ = audit.read(log)
    phases = [(requests[:3], 2), (requests[3:], 1)]
    assert audit.each(phases, lambda request: request.write) == 1.5 + 3
    assert audit.each_kind(phases) == {"create jobs": 1.5 + 1, "patch finetunejobs/status": 2}


def test_a_title_says_how_many_go_to_their_end() -> None:
    title = report.title({"count": 3000, "released": 1000, "rate": 2.5})
    assert title == "3,000 FineTuneJobs, 2.5 a second, 1,000 to the end"


class Pods(Api):
    """Lists running pods of the first stage, and writes down which of them are patched."""

    def __init__(self, owners: Iterable[str]) -> None:
        self.patched: list[str] = []
        self._pods = [{
            "metadata": {"name": f"pod-of-{name}", "namespace": "team-0", "uid": name, "resourceVersion": "1",
                         "labels": {LABEL_NAME: name, LABEL_STAGE: "prepare"}},
            "spec": {"nodeName": "n", "containers": [{"name": "trainer", "image": "i"}]},
            "status": {"phase": "Running"}} for name in owners]

    async def list(self, *_: Any, **__: Any) -> Any:
        return self._pods

    async def patch(self, kind: str, namespace: str, name: str, *_: Any, **__: Any) -> Any:
        self.patched.append(name)


async def test_only_the_pods_of_those_that_are_let_go_come_to_their_end() -> None:
    api = Pods(["ftj-0", "ftj-1", "ftj-2"])
    node = Kubelet(api, ("team-0",), nodes=1)
    node.script, node.hold = (lambda pod: End(0)), {"prepare"}
    await node.let_go({"ftj-1"}, ("team-0",), "prepare")
    for _ in range(10):
        await asyncio.sleep(0)
    assert api.patched == ["pod-of-ftj-1"]


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(n) for n in range(100)]
    assert (audit.percentile(values, 0.5), audit.percentile(values, 0.99), audit.percentile([3.0], 0.99)) == (50, 99, 3)


def figures(**changes: Any) -> report.Figures:
    return {
        "count": 1000, "createToJob": {"p50": 0.1, "p99": 0.5}, "cost": {"peak_mb": 160, "rss_mb": 150},
        "settled": {"requestsPerSecond": 1}, "restart": {"writesForSettled": 0, "firstJobSeconds": 5},
        "poison": {"clean": {"p50": 0.1, "p99": 0.2}, "beside": {"p50": 0.1, "p99": 0.3}}, "convergeSeconds": 100,
        "writesPerResource": 20, **changes}


def missed(ours: report.Figures, twin: report.Figures) -> list[str]:
    return [goal.name for goal in report.goals([ours], [twin]) if not goal.met]


def test_goals_are_held_against_limits_and_against_the_twin() -> None:
    assert missed(figures(), figures()) == []
    assert missed(figures(convergeSeconds=160), figures()) == ["time to converge / the twin's"]
    assert missed(figures(writesPerResource=21), figures()) == ["writes per resource / the twin's"]
    assert missed(figures(restart={"writesForSettled": 1, "firstJobSeconds": 5}), figures()) == [
        "restart: writes for settled"]
    assert missed(figures(cost={"peak_mb": 171, "rss_mb": 1}), figures()) == ["memory at most (MB): 150 + 20 kB each"]


def test_the_table_shows_the_spread_of_the_rounds() -> None:
    text = report.table([figures(convergeSeconds=90), figures(convergeSeconds=110)], [figures()])
    assert "| converge after release (s) | 100 (90 to 110) | 100 |" in text
    assert "| event loop lag, p99 at most (s) | - | - |" in text
