"""The state table: how each state of both kinds looks to tools that read conditions by the rules of kstatus."""

from collections.abc import Callable
from typing import Any

import pytest

from anneal_api.conditions import REASONS, Reason
from tests.factories import make_modeldeployment
from tests.kstatus import Status, kstatus
from tests.unit.operator.decide import scenarios
from tests.unit.operator.decide.scenarios import SCENARIOS
from tests.unit.operator.decide.world import World

Marks = tuple[str, str, str]
"""Ready, Reconciling, Stalled; a dash where the condition is absent."""

ON_ITS_WAY: Marks = ("False", "True", "-")
DONE: Marks = ("True", "-", "-")
FAILED: Marks = ("False", "-", "True")
HELD: Marks = ("False", "-", "-")


def of(reason: Reason) -> Callable[[], World]:
    return SCENARIOS[reason]


def unknown_field() -> World:
    world = World(make_modeldeployment(newField=1))
    world.step()
    return world


TABLE: dict[str, tuple[Callable[[], World], Marks, Status]] = {
    "job accepted": (of(Reason.ACCEPTED), ON_ITS_WAY, "InProgress"),
    "job at work": (of(Reason.RUNNING), ON_ITS_WAY, "InProgress"),
    "job waits for a node": (of(Reason.UNSCHEDULABLE), ON_ITS_WAY, "InProgress"),
    "job waits for a claim": (of(Reason.CLAIM_NOT_FOUND), ON_ITS_WAY, "InProgress"),
    "job waits for a lost node": (of(Reason.NODE_LOST), ON_ITS_WAY, "InProgress"),
    "job evicted": (of(Reason.PREEMPTED), ON_ITS_WAY, "InProgress"),
    "job published": (of(Reason.PUBLISHED), DONE, "Current"),
    "job published before": (of(Reason.ALREADY_PUBLISHED), DONE, "Current"),
    "job failed for good": (of(Reason.BAD_DATA), FAILED, "Failed"),
    "job failed too often": (of(Reason.CRASHED), FAILED, "Failed"),
    "job out of time": (of(Reason.DEADLINE_EXCEEDED), FAILED, "Failed"),
    "job suspended": (of(Reason.SUSPENDED), HELD, "InProgress"),
    "job with an unknown field": (of(Reason.UNSUPPORTED_SPEC), FAILED, "Failed"),
    "deployment waits for a job": (of(Reason.FINE_TUNE_JOB_NOT_FOUND), ON_ITS_WAY, "InProgress"),
    "deployment loads": (of(Reason.STARTING), ON_ITS_WAY, "InProgress"),
    "deployment serves": (of(Reason.SERVING), DONE, "Current"),
    "deployment of no replicas": (of(Reason.SCALED_TO_ZERO), DONE, "Current"),
    "deployment has no room for a revision": (of(Reason.INSUFFICIENT_SURGE_CAPACITY), ON_ITS_WAY, "InProgress"),
    # Decision 7: the address answers. Condition RolledBack, the phase and a Warning say that it is not what was asked.
    "deployment rolled back": (of(Reason.ROLLED_BACK), DONE, "Current"),
    "deployment of damaged files": (of(Reason.ARTIFACT_INVALID), FAILED, "Failed"),
    "deployment crashes": (of(Reason.SERVER_CRASHED), FAILED, "Failed"),
    "deployment with an unknown field": (unknown_field, FAILED, "Failed"),
}


def marks(resource: dict[str, Any]) -> Marks:
    found = {c["type"]: c["status"] for c in resource["status"]["conditions"]}
    return found.get("Ready", "-"), found.get("Reconciling", "-"), found.get("Stalled", "-")


@pytest.mark.parametrize(("world", "wanted", "status"), TABLE.values(), ids=TABLE)
def test_the_state_table(world: Callable[[], World], wanted: Marks, status: Status) -> None:
    resource = world().resource
    assert marks(resource) == wanted
    assert kstatus(resource) == status


@pytest.mark.parametrize("reason", Reason)
def test_every_status_that_is_ever_written_is_one_of_four(reason: Reason) -> None:
    world = SCENARIOS[reason]()
    assert world.statuses
    for status in world.statuses:
        assert marks({"status": status}) in (ON_ITS_WAY, DONE, FAILED, HELD)
        generation = status["observedGeneration"]
        assert {c["observedGeneration"] for c in status["conditions"] if c["type"] in (
            "Ready", "Reconciling", "Stalled")} == {generation}
        assert "" not in {c["reason"] for c in status["conditions"]}


@pytest.mark.parametrize("reason", [reason for reason in Reason if REASONS[reason].terminal])
def test_a_terminal_reason_is_a_failure_to_every_tool(reason: Reason) -> None:
    assert kstatus(SCENARIOS[reason]().resource) == "Failed"


def test_an_edit_counts_as_in_progress_until_it_has_been_looked_at() -> None:
    world = scenarios.job()
    assert kstatus(world.resource) == "Current"
    world.spec(deadline="2h")
    assert kstatus(world.resource) == "InProgress"
    world.step()
    assert kstatus(world.resource) == "Current"


def test_a_failure_that_is_corrected_is_in_progress_again_and_ends_current() -> None:
    world = SCENARIOS[Reason.BAD_DATA]()
    world.script = scenarios.good
    world.spec(runId="again")
    world.step()
    assert kstatus(world.resource) == "InProgress"
    assert kstatus(world.run().resource) == "Current"
