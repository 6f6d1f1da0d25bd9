"""What a pass asks for and what it makes of it: logs, progress, a sidecar that dies, Events of what is stuck."""

from datetime import timedelta

import pytest

from anneal_api.conditions import timestamp
from anneal_api.finetunejob import FineTuneJobSpec
from anneal_api.finetunejob_status import ProgressStatus
from anneal_api.run import Stage, parse_progress
from anneal_operator.decide import progress
from anneal_operator.decide.classify import VOLUME_PATIENCE
from anneal_operator.decide.course import CHECK_SECONDS
from anneal_operator.decide.progress import EVERY
from anneal_operator.decide.sight import JOB_PATIENCE, POD_PATIENCE
from anneal_operator.desired.stage import claims_of
from tests.factories import (
    START,
    Object,
    exited,
    make_condition,
    make_finetunejob,
    progress_line,
    waiting,
)
from tests.unit.operator.decide.world import End, World, good


def at_stage(stage: str) -> World:
    """A world whose run is at this stage, with its pod running."""
    world = World(make_finetunejob(), lambda s, a: End(None) if s == stage else good(s, a))
    world.run(until=lambda w: f"{stage}-0" in w.job_names())
    world.play()
    world.step()
    return world


def pod_of(world: World) -> Object:
    return next(pod for pod in world.of("Pod") if pod["status"]["phase"] == "Running")


def test_progress_is_read_from_the_train_pod_every_ten_seconds() -> None:
    world = at_stage("train")
    name = pod_of(world)["metadata"]["name"]
    world.logs[name, "trainer"] = "\n".join([progress_line(1, loss=3.0, seconds=307), progress_line(30, loss=1.5)])
    world.step()
    found = world.status["progress"]
    assert (found["step"], found["totalSteps"], found["percent"], found["loss"]) == (30, 100, 30, 1.5)
    assert found["summary"] == "30% (30/100)"
    assert {"event": "firstStep", "time": "2026-03-02T10:05:07Z"} in world.status["timeline"]
    assert world.last.requeue_after == 10
    assert [e.message for e in world.events if "25%" in e.message] == [
        "stage train: more than 25% done, 30% (30/100), loss 1.5"]
    world.logs[name, "trainer"] = progress_line(60, loss=1.2)
    world.now += timedelta(seconds=9)
    world.step()
    assert world.status["progress"]["step"] == 30
    world.now += timedelta(seconds=1)
    world.step()
    assert world.status["progress"]["step"] == 60


def test_only_the_train_pods_log_is_polled() -> None:
    for stage in ("prepare", "evaluate", "publish"):
        assert at_stage(stage).needs().logs == ()


def test_the_end_of_training_is_read_once_more_for_the_first_step() -> None:
    world = at_stage("train")
    pod = pod_of(world)
    world.logs[pod["metadata"]["name"], "trainer"] = progress_line(1, seconds=307)
    world.script = good
    world.play()
    world.step()
    assert {"event": "firstStep", "time": "2026-03-02T10:05:07Z"} in world.status["timeline"]
    assert (world.status["progress"]["percent"], world.status["progress"]["firstLoss"]) == (100, 3.0)


def test_what_a_line_lacks_stays_as_it_was() -> None:
    first = parse_progress(progress_line(1, loss=3.0))
    second = parse_progress(progress_line(2, loss=None))
    assert first
    assert second
    known = progress.read(progress.read(None, first, START), second, START)
    assert (known.first_loss, known.loss, known.step) == (3.0, 3.0, 2)


@pytest.mark.parametrize(("before", "after", "marks"), [
    (0, 24, []), (24, 25, [25]), (25, 49, []), (0, 60, [50]), (60, 99, [75]), (80, 100, []), (10, 100, [])])
def test_milestones_are_told_once(before: int, after: int, marks: list[int]) -> None:
    assert progress.passed(ProgressStatus(percent=before), ProgressStatus(percent=after)) == marks


def test_an_engine_that_ends_again_and_again_fails_the_attempt_with_its_last_words() -> None:
    world = at_stage("evaluate")
    pod = pod_of(world)
    name = pod["metadata"]["name"]
    pod["status"]["initContainerStatuses"] = [{"name": "engine", "restartCount": 3, "image": "example.com/vllm:1",
                                               "state": waiting("CrashLoopBackOff"), "lastState": exited(1)}]
    (request,) = world.needs().logs
    assert (request.pod, request.container, request.previous) == (name, "engine", True)
    world.logs[name, "engine"] = "ValueError: rank 512 is too large"
    world.step()
    assert world.condition("Ready")["reason"] == "Retrying"
    assert "rank 512 is too large" in world.condition("Ready")["message"]
    world.script = good
    world.run()
    assert "evaluate-1" in world.job_names()
    assert world.status["phase"] == "Succeeded"


def test_when_the_evaluator_fails_the_engine_has_the_last_word() -> None:
    world = at_stage("evaluate")
    pod = pod_of(world)
    name = pod["metadata"]["name"]
    world.script = lambda s, a: End(1)
    world.play()
    pod["status"]["initContainerStatuses"] = [{"name": "engine", "restartCount": 1, "state": exited(0)}]
    assert [(r.container, r.previous) for r in world.needs().logs] == [("trainer", False), ("engine", True)]
    world.logs = {(name, "trainer"): "nobody answers", (name, "engine"): "Illegal instruction"}
    world.step()
    assert "nobody answers" in world.condition("Ready")["message"]
    what, _, fix = world.condition("Ready")["message"].partition(". Fix: ")
    assert what.endswith("container engine:\nIllegal instruction")
    assert "choose another node" in fix


def test_an_engine_that_is_too_large_ends_the_run() -> None:
    world = at_stage("evaluate")
    pod_of(world)["status"]["initContainerStatuses"] = [
        {"name": "engine", "restartCount": 1, "state": waiting("CrashLoopBackOff"),
         "lastState": exited(137, reason="OOMKilled")}]
    world.step()
    assert world.condition("Stalled")["reason"] == "OOMKilled"
    assert "container engine: killed at its memory limit of 1536Mi" in world.condition("Ready")["message"]
    world.run()
    left = [job["metadata"]["labels"]["anneal.dev/stage"] for job in world.of("Job")]
    assert left == ["prepare", "train"]


@pytest.mark.parametrize(("stage", "limit", "fix"), [
    ("train", "2Gi", "Raise spec.resources.memory"), ("prepare", "2Gi", "fewer or shorter rows"),
    ("publish", "1Gi", "whatever spec.resources says")])
def test_a_stage_that_is_too_large_ends_the_run_with_a_fix_that_helps(stage: str, limit: str, fix: str) -> None:
    world = World(make_finetunejob(), lambda s, a: End(137, reason="OOMKilled") if s == stage else good(s, a)).run()
    stalled = world.condition("Stalled")
    assert stalled["reason"] == "OOMKilled"
    assert f"stage {stage}, container trainer: killed at its memory limit of {limit}" in stalled["message"]
    assert fix in stalled["message"]


def test_events_are_asked_for_where_something_is_stuck() -> None:
    world = World(make_finetunejob())
    world.run(until=lambda w: "prepare-0" in w.job_names())
    world.now += JOB_PATIENCE
    assert world.needs().events_of == ("support-0f8fad5b-prepare-0",)
    job = world.of("Job")[0]
    pod = world.add_pod(job)
    assert world.needs().events_of == ()
    pod["status"] = {"phase": "Pending", "conditions": [make_condition("PodScheduled")]}
    world.now += POD_PATIENCE
    assert world.needs().events_of == (pod["metadata"]["name"],)
    pod["status"]["conditions"] = [make_condition("PodScheduled", "False", "Unschedulable")]
    workspace = f"support-0f8fad5b-ws-{world.status['run']['id']}"
    assert set(world.needs().events_of) == {pod["metadata"]["name"], workspace, "models", "data"}
    assert set(world.needs().claims) == {"models", "data"}, "the workspace is known"


def test_a_start_costs_no_search_for_events_and_no_word_of_its_own() -> None:
    """A thousand runs start at once; what keeps one from starting is told a moment later."""
    world = World(make_finetunejob())
    world.run(until=lambda w: "prepare-0" in w.job_names())
    said = world.status
    assert (world.needs().events_of, world.step().requeue_after) == ((), EVERY.total_seconds())
    pod = world.add_pod(world.of("Job")[0])
    text = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    for reason in ("", "Unschedulable"):
        pod["status"] = {"phase": "Pending",
                         "conditions": [make_condition("PodScheduled", "False", reason, text)] if reason else []}
        assert (world.needs().events_of, world.step().requeue_after) == ((), EVERY.total_seconds())
        assert world.status == said
    world.now += POD_PATIENCE
    assert world.needs().events_of, "somebody may have said why"
    world.step()
    assert world.status == said
    world.now += VOLUME_PATIENCE - POD_PATIENCE
    world.step()
    assert world.condition("Ready")["reason"] == "VolumeNotReady"


@pytest.mark.parametrize("code", [0, 1])
def test_a_pod_that_ended_before_its_job_is_no_news(code: int) -> None:
    world = at_stage("prepare")
    said = world.status
    assert "is running" in world.condition("Ready")["message"]
    world.end_pod(world.of("Pod")[0], End(code))
    world.now += POD_PATIENCE
    assert (world.needs().events_of, world.needs().logs) == ((), ())
    world.step()
    assert world.status == said


def test_what_keeps_a_young_pod_from_starting_is_told_at_once() -> None:
    world = World(make_finetunejob())
    world.run(until=lambda w: "prepare-0" in w.job_names())
    text = "0/1 nodes are available: 1 Insufficient cpu."
    world.add_pod(world.of("Job")[0])["status"] = {
        "phase": "Pending", "conditions": [make_condition("PodScheduled", "False", "Unschedulable", text)]}
    world.step()
    assert text in world.condition("Ready")["message"]


def test_what_lasts_is_looked_at_more_seldom() -> None:
    """An hour of training is read once a minute; an hour in a queue costs a search for Events once a minute."""
    world = at_stage("train")
    assert world.step().requeue_after == 10.0
    world.now += timedelta(minutes=15)
    assert world.step().requeue_after == pytest.approx(30.0, abs=1)
    world.now += timedelta(hours=5)
    assert world.step().requeue_after == 60.0
    since = world.now - timedelta(minutes=15)
    read = ProgressStatus(time=timestamp(world.now - timedelta(seconds=20)))
    assert progress.due(read, world.now - timedelta(minutes=5), world.now)
    assert not progress.due(read, since, world.now)


def test_a_pod_that_runs_is_left_alone_until_something_is_due() -> None:
    """Ten thousand of them looked at once a minute would be a third of a core; events tell what happens to them."""
    world = at_stage("prepare")
    assert world.step().requeue_after == CHECK_SECONDS
    world.resource["spec"]["deadline"] = "5m"
    assert world.step().requeue_after == pytest.approx(301, abs=5)
    world.of("Pod")[0]["metadata"]["deletionTimestamp"] = timestamp(world.now)
    assert world.step().requeue_after == 10.0, "that its node does not end it must be said in time"


def test_claims_are_asked_for_before_the_run_and_not_after() -> None:
    world = World(make_finetunejob())
    assert set(world.needs().claims) == {"models", "data"}
    world.step()
    assert world.needs().claims == ()
    world.run(until=lambda w: w.stage("prepare")["state"] == "Succeeded")
    assert world.needs().claims == ()


@pytest.mark.parametrize("stage", Stage)
def test_the_first_stage_mounts_every_claim_of_the_run(stage: Stage) -> None:
    """So that it is enough to ask for them before it."""
    uris = {"model": {"uri": "pvc://models/base"}, "dataset": {"uri": "pvc://data/rows.jsonl"},
            "output": {"uri": "pvc://out/tuned"}, "evaluation": {"prompts": {"uri": "pvc://asked/prompts.jsonl"}}}
    spec = FineTuneJobSpec.model_validate(make_finetunejob(**uris)["spec"])
    assert claims_of(spec, stage).keys() <= claims_of(spec, Stage.PREPARE).keys()


def test_a_run_that_is_over_asks_for_nothing() -> None:
    for script in (good, lambda s, a: End(11)):
        needs = World(make_finetunejob(), script).run().needs()
        assert (needs.claims, needs.config_maps, needs.events_of, needs.logs) == ((), (), (), ())
