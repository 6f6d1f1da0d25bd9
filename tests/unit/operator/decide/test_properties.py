"""What must hold for every life of a resource, whatever is lost, missed or said twice on the way."""

import json
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anneal_operator.desired.names import LABEL_STAGE
from tests.factories import ARTIFACT, make_finetunejob, make_modeldeployment
from tests.unit.operator.decide.deployments import published
from tests.unit.operator.decide.test_rollback import CRASHES, play_next
from tests.unit.operator.decide.world import End, World, good

STAGES = ("prepare", "train", "evaluate", "publish")
FAILURES = 2
Codes = dict[tuple[str, int], int]
"""How the attempts at the stages end."""
SOME = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])

codes = st.sampled_from([0, 0, 0, 0, 1, 11, 15, 42])
scripts = st.dictionaries(st.tuples(st.sampled_from(STAGES), st.integers(0, 3)), codes, max_size=6)
losses = st.lists(st.sampled_from(["Job", "ConfigMap", "Pod", ""]), max_size=12)
edits = st.lists(st.sampled_from(["suspend", "resume", "deadline", "", "", ""]), max_size=10)


def scripted(codes: Codes) -> Any:
    """Ends as the dictionary says, with one preemption at most in a row."""
    seen: set[tuple[str, int]] = set()

    def script(stage: str, attempt: int) -> End:
        code = codes.get((stage, attempt), 0)
        if code == 42 and (stage, attempt) in seen:
            code = 0
        seen.add((stage, attempt))
        return good(stage, attempt) if code == 0 else End(code)

    return script


def live_jobs(world: World) -> dict[str, int]:
    """Jobs that have not ended, by stage."""
    counts: dict[str, int] = {}
    for job in world.of("Job"):
        if not (job.get("status") or {}).get("conditions"):
            stage = job["metadata"]["labels"][LABEL_STAGE]
            counts[stage] = counts.get(stage, 0) + 1
    return counts


def check(world: World) -> None:
    """Invariants of every moment."""
    assert all(count <= 1 for count in live_jobs(world).values()), "two live Jobs of one stage"
    for stage in world.status.get("stages", []):
        assert stage["failures"] <= FAILURES
    assert len(json.dumps(world.status)) < 32 * 1024
    generations = [status["observedGeneration"] for status in world.statuses]
    assert generations == sorted(generations)
    for status in world.statuses[-1:]:
        kinds = {c["type"] for c in status["conditions"] if c["status"] == "True"}
        assert not {"Ready", "Stalled"} <= kinds
        assert not {"Ready", "Reconciling"} <= kinds


def live(world: World, lost: list[str], changes: list[str]) -> None:
    """Live on while children vanish and the user edits."""
    for number in range(max(len(lost), len(changes))):
        world.step()
        check(world)
        change = changes[number] if number < len(changes) else ""
        if change in ("suspend", "resume"):
            world.spec(suspend=change == "suspend")
        elif change == "deadline":
            world.spec(deadline=f"{48 + number}h")
        there = world.of(lost[number]) if number < len(lost) and lost[number] else []
        if there:
            world.lose(there[0]["kind"], there[0]["metadata"]["name"])
        world.play()


@SOME
@given(codes=scripts, lost=losses, changes=edits)
def test_every_life_ends_and_stays_ended(codes: Codes, lost: list[str], changes: list[str]) -> None:
    world = World(make_finetunejob(retry={"failures": FAILURES, "disruptions": 50}), scripted(codes))
    live(world, lost, changes)
    if world.resource["spec"].get("suspend"):
        world.spec(suspend=False)
    world.run(passes=120)
    check(world)
    assert world.status["phase"] in ("Succeeded", "Failed")
    plan = world.decide()
    assert plan.status == world.status
    assert (plan.creates, plan.deletes, plan.events, plan.requeue_after) == ((), (), (), None)


@SOME
@given(lost=losses)
def test_lost_children_change_nothing_about_the_end(lost: list[str]) -> None:
    world = World(make_finetunejob())
    live(world, [kind for kind in lost if kind != "Pod"], [])
    world.run(passes=120)
    assert world.status["phase"] == "Succeeded"
    assert world.status["artifact"] == ARTIFACT
    assert {stage["failures"] for stage in world.status["stages"]} == {0}


@settings(SOME, max_examples=12)
@given(codes=scripts)
def test_deciding_twice_says_the_same_and_a_pass_that_was_carried_out_is_quiet(codes: Codes) -> None:
    world = World(make_finetunejob(retry={"failures": FAILURES}), scripted(codes))
    for _ in range(25):
        plan = world.decide()
        assert world.decide() == plan
        world.step()
        # What was just made and said is not made and said again; only what was given up may still be removed.
        for _ in range(3):
            again = world.step()
        assert (again.creates, again.events) == ((), ())
        assert again.status == world.status
        world.play()
        world.now += timedelta(minutes=1)


@SOME
@given(st.lists(st.sampled_from(["engine", "replicas", "artifact", "lose", "forget", ""]), max_size=12))
def test_a_deployment_always_comes_to_serve_what_is_asked_for(changes: list[str]) -> None:
    world = World(make_modeldeployment(), fine_tune_job=published())
    for number, change in enumerate(changes):
        world.step()
        _change(world, change, number)
        if number % 2:
            world.play()
    world.run(passes=120)
    stable = world.status["stable"]
    assert world.condition("Ready")["status"] == "True"
    assert [d["metadata"]["name"] for d in world.of("Deployment")] == [stable["name"]]
    assert [c["metadata"]["name"] for c in world.of("ConfigMap")] == [stable["name"]]
    (service,) = world.of("Service")
    assert service["spec"]["selector"]["anneal.dev/revision"] == stable["hash"]
    assert world.of("Deployment")[0]["spec"]["replicas"] == world.resource["spec"].get("replicas", 1)


def _change(world: World, change: str, number: int) -> None:
    if change == "engine":
        world.spec(engine={"maxModelLen": 512 + number % 3})
    elif change == "replicas":
        world.spec(replicas=1 + number % 3)
    elif change == "artifact":
        world.fine_tune_job = published({**ARTIFACT, "digest": f"sha256:{number:064d}"})
    elif change == "forget" and (world.status.get("stable") or world.status.get("next")):
        world.fine_tune_job = None
    elif change == "lose" and world.of("Deployment"):
        world.lose("Deployment", world.of("Deployment")[0]["metadata"]["name"])


@SOME
@given(st.lists(st.sampled_from(["engine", "artifact", "break", "wait", "lose", "play", ""]), max_size=16))
def test_what_serves_is_never_given_up_for_what_does_not(changes: list[str]) -> None:
    world = World(make_modeldeployment(), fine_tune_job=published()).run()
    for number, change in enumerate(changes):
        _change(world, change, number)
        if change == "break" and world.status.get("next"):
            play_next(world, **CRASHES)
        elif change == "wait":
            world.now += timedelta(minutes=10)
        elif change == "play":
            world.play()
        world.step()
        check(world)
        _serves(world)
    world.spec(engine={"maxModelLen": 4096})
    world.run(passes=120)
    assert world.condition("Ready")["reason"] == "Serving"
    assert len(world.of("Deployment")) == 1


def _serves(world: World) -> None:
    """Traffic leads to the revision of the status, whose Deployment is there and was all ready once."""
    stable = world.status["stable"]
    (service,) = world.of("Service")
    assert service["spec"]["selector"]["anneal.dev/revision"] == stable["hash"]
    assert stable["name"] in {d["metadata"]["name"] for d in world.of("Deployment")}
    assert stable["hash"] not in {world.status.get(key, {}).get("hash") for key in ("next", "failed")}
