"""The store: what is newest wins, and a LIST drops ghosts."""

import tracemalloc
from typing import Any

import pytest

from anneal_operator.controllers.store import Key, Store
from anneal_operator.desired import names
from anneal_operator.kube.kinds import BY_NAME, CHILDREN, FINETUNEJOB, JOB, MODELDEPLOYMENT, POD, Kind, meta
from tests.factories import make_finetunejob
from tests.unit.operator.decide.world import World

UID = "11111111-2222-3333-4444-555555555555"


def thing(
    kind: Kind, name: str, version: int, *, uid: str = "u", namespace: str = "team", **more: Any,
) -> dict[str, Any]:
    labels = more.pop("labels", {})
    return {"apiVersion": kind.api_version, "kind": kind.name, **more,
            "metadata": {"name": name, "namespace": namespace, "uid": uid, "resourceVersion": str(version),
                         "labels": labels}}


def child(kind: Kind, name: str, version: int = 1, owner: str = UID) -> dict[str, Any]:
    return thing(kind, name, version, uid=f"uid-of-{name}",
                 labels=names.labels(FINETUNEJOB.name, "support", owner))


def test_an_older_object_than_the_known_one_is_no_news() -> None:
    store = Store()
    assert store.put(FINETUNEJOB, thing(FINETUNEJOB, "a", 5))
    assert not store.put(FINETUNEJOB, thing(FINETUNEJOB, "a", 4, uid="older"))
    assert not store.put(FINETUNEJOB, thing(FINETUNEJOB, "a", 5))
    assert store.put(FINETUNEJOB, thing(FINETUNEJOB, "a", 6))
    assert store.get(FINETUNEJOB, "team", "a") == thing(FINETUNEJOB, "a", 6)


def test_a_change_that_no_decision_reads_is_no_news_but_makes_older_ones_older() -> None:
    store = Store()
    assert store.put(JOB, thing(JOB, "a", 5, status={"active": 1}))
    assert not store.put(JOB, thing(JOB, "a", 7, status={"active": 1, "ready": 1}))
    ended = {"conditions": [{"type": "Complete", "status": "True"}]}
    assert not store.put(JOB, thing(JOB, "a", 6, status=ended)), "older than what is known"
    assert store.put(JOB, thing(JOB, "a", 8, status=ended))


def test_a_resource_is_new_until_somebody_has_said_something_about_it() -> None:
    store, key = Store(), Key("FineTuneJob", "team", "a")
    assert not store.is_new(key)
    store.put(FINETUNEJOB, thing(FINETUNEJOB, "a", 1))
    assert store.is_new(key)
    store.put(FINETUNEJOB, thing(FINETUNEJOB, "a", 2, status={"phase": "Preparing"}))
    assert not store.is_new(key)


def test_a_late_deletion_of_an_earlier_object_of_that_name_changes_nothing() -> None:
    store = Store()
    store.put(JOB, thing(JOB, "a", 7, uid="new"))
    assert not store.drop(JOB, "team", "a", "old")
    assert store.drop(JOB, "team", "a", "new")
    assert store.get(JOB, "team", "a") is None


def test_children_are_found_by_the_uid_of_their_owner() -> None:
    store = Store()
    for kind in CHILDREN:
        store.put(kind, child(kind, "b"))
        store.put(kind, child(kind, "a"))
        store.put(kind, child(kind, "foreign", owner="another"))
    children = store.children(UID)
    for group in (children.jobs, children.pods, children.claims, children.config_maps, children.deployments,
                  children.services):
        assert [obj["metadata"]["name"] for obj in group] == ["a", "b"]


def test_a_child_that_is_gone_is_no_child_any_more() -> None:
    store = Store()
    store.put(JOB, child(JOB, "a"))
    store.drop(JOB, "team", "a", "uid-of-a")
    assert store.children(UID).jobs == ()


def test_a_list_drops_ghosts_and_keeps_what_was_written_after_it() -> None:
    store = Store()
    store.put(POD, child(POD, "ghost", 3))
    store.put(POD, child(POD, "same", 4))
    store.put(POD, child(POD, "written-meanwhile", 11))
    assert [obj["metadata"]["name"] for obj in store.prune(POD, None, {("team", "same")}, 10)] == ["ghost"]
    assert [name for name in ("ghost", "same", "written-meanwhile") if store.get(POD, "team", name)] == [
        "same", "written-meanwhile"]


def test_a_list_of_one_namespace_says_nothing_about_others() -> None:
    store = Store()
    store.put(POD, thing(POD, "a", 1, namespace="other"))
    assert store.prune(POD, "team", (), 9) == []
    assert store.get(POD, "other", "a") is not None


@pytest.mark.parametrize(("kind", "obj", "expected"), [
    pytest.param(FINETUNEJOB, thing(FINETUNEJOB, "support", 1), {Key("FineTuneJob", "team", "support")},
                 id="a resource concerns itself"),
    pytest.param(JOB, child(JOB, "a"), {Key("FineTuneJob", "team", "support")}, id="a child concerns its owner"),
    pytest.param(JOB, thing(JOB, "a", 1), set(), id="a stranger concerns nobody"),
])
def test_concerned(kind: Kind, obj: dict[str, Any], expected: set[Key]) -> None:
    assert set(Store().concerned(kind, obj)) == expected


def test_a_finetunejob_concerns_the_deployments_that_serve_it() -> None:
    store = Store()
    serving = {"model": {"fineTuneJobRef": {"name": "support"}}}
    store.put(MODELDEPLOYMENT, thing(MODELDEPLOYMENT, "one", 1, uid="1", spec=serving))
    store.put(MODELDEPLOYMENT, thing(MODELDEPLOYMENT, "two", 1, uid="2", spec=serving))
    store.put(MODELDEPLOYMENT, thing(MODELDEPLOYMENT, "by-uri", 1, uid="3", spec={"model": {"uri": "pvc://a/b"}}))
    store.put(MODELDEPLOYMENT, thing(MODELDEPLOYMENT, "two", 2, uid="2", spec={"model": {"uri": "pvc://a/b"}}))
    job = thing(FINETUNEJOB, "support", 1)
    assert set(store.concerned(FINETUNEJOB, job)) == {
        Key("FineTuneJob", "team", "support"), Key("ModelDeployment", "team", "one")}


def test_what_is_handed_out_can_be_changed_without_harm() -> None:
    store = Store()
    store.put(FINETUNEJOB, thing(FINETUNEJOB, "a", 1, status={"phase": "Failed"}))
    found = store.get(FINETUNEJOB, "team", "a")
    assert found
    found["status"]["phase"] = "Pending"
    assert store.get(FINETUNEJOB, "team", "a") == thing(FINETUNEJOB, "a", 1, status={"phase": "Failed"})


def test_resources_are_counted_by_phase() -> None:
    store = Store()
    for number, phase in enumerate(["Training", "Training", "Failed"]):
        store.put(FINETUNEJOB, thing(FINETUNEJOB, f"r{number}", 1, status={"phase": phase}))
    store.put(FINETUNEJOB, thing(FINETUNEJOB, "r0", 2))
    assert store.phases(FINETUNEJOB) == {"": 1, "Training": 1, "Failed": 1}


def test_what_waits_for_us_comes_before_what_has_ended() -> None:
    store = Store()
    for name, phase in (("done", "Succeeded"), ("running", "Training"), ("new", ""), ("failed", "Failed")):
        store.put(FINETUNEJOB, thing(FINETUNEJOB, name, 1, status={"phase": phase} if phase else {}))
    store.put(MODELDEPLOYMENT, thing(MODELDEPLOYMENT, "serving", 1, status={"phase": "Serving"}))
    assert [key.name for key in store.by_urgency()] == ["new", "running", "serving", "done", "failed"]


def test_a_run_that_is_over_takes_little_memory() -> None:
    """The goal is 20 kB for each resource with all its children."""
    world = World(make_finetunejob()).run()
    store = Store()
    everything = [world.resource, *world.objects.values()]

    def fill() -> None:
        for obj in everything:
            meta(obj).setdefault("namespace", "team")
            meta(obj)["resourceVersion"] = "1"
            store.put(BY_NAME[obj["kind"]], obj)

    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        fill()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(everything) > 10
    assert grown < 20_000
