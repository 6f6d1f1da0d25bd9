"""Whole lives of a FineTuneJob in a cluster in memory, from the first pass to the last."""

from datetime import timedelta

import pytest

from tests.factories import ARTIFACT, DATASET, SCORES, make_finetunejob, stage_result
from tests.unit.operator.decide.world import End, World, good

ALL = ["prepare-0", "train-0", "evaluate-0", "publish-0"]
FULL = {"method": {"type": "full"}}
NO_TEST = {"dataset": {"uri": "pvc://data/rows.jsonl", "split": {"validation": 0, "test": 0}}}


def settled(world: World) -> None:
    """Nothing moves any more, and another pass writes nothing."""
    plan = world.decide()
    assert (plan.deletes, plan.creates, plan.applies, plan.events, plan.requeue_after) == ((), (), (), (), None)
    assert plan.status == world.status


@pytest.mark.parametrize("spec", [{}, FULL], ids=["lora", "full"])
def test_every_stage_is_one_job_and_the_run_ends_published(spec: dict[str, object]) -> None:
    world = World(make_finetunejob(**spec)).run()
    assert world.job_names() == ALL
    assert world.condition("Ready")["reason"] == "Published"
    assert {c["type"]: c["status"] for c in world.status["conditions"]} == dict.fromkeys(
        ["DataValid", "Trained", "Evaluated", "Published", "Ready"], "True")
    assert (world.status["artifact"], world.status["evaluation"]) == (ARTIFACT, SCORES)
    assert world.status["phase"] == "Succeeded"
    settled(world)


def test_the_first_run_begins_with_its_first_job() -> None:
    world = World(make_finetunejob())
    world.step()
    assert world.status["run"]["state"] == "Running"
    assert world.condition("Ready")["status"] == "False"
    assert world.condition("Reconciling")["status"] == "True"
    assert world.status["phase"] == "Preparing"
    run, made = world.status["run"]["id"], [name.removeprefix("support-0f8fad5b-") for name in world.created]
    assert made == [f"ws-{run}", f"run-{run}", "prepare-0"]


@pytest.mark.parametrize("edited", [False, True])
def test_a_first_run_whose_beginning_nobody_heard_of_is_taken_up_or_makes_room(edited: bool) -> None:
    """The operator ended after it had made the first Job and before it said so; the spec may be edited meanwhile."""
    world = World(make_finetunejob())
    world.step()
    first = world.status["run"]["id"]
    world.resource["status"] = {}
    if edited:
        world.spec(training={"epochs": 2})
    world.run()
    assert world.status["phase"] == "Succeeded"
    assert (world.status["run"]["id"] == first) is not edited
    assert world.created.count("support-0f8fad5b-prepare-0") == 1 + edited
    assert [name for name in world.deleted if "prepare" in name] == (["support-0f8fad5b-prepare-0"] if edited else [])


def test_the_timeline_tells_each_moment_once_and_in_order() -> None:
    world = World(make_finetunejob()).run()
    stages = ["prepare", "train", "evaluate", "publish"]
    moments = [f"{stage}{what}" for stage in stages for what in ("Started", "PodRunning", "Finished")]
    assert [entry["event"] for entry in world.status["timeline"]] == ["created", "accepted", *moments]
    times = [entry["time"] for entry in world.status["timeline"]]
    assert times == sorted(times)


def test_there_is_one_event_for_each_transition() -> None:
    world = World(make_finetunejob()).run()
    stages = ["prepare", "train", "evaluate", "publish"]
    made = [f"stage {stage}: Job support-0f8fad5b-{stage}-0 was made" for stage in stages]
    done = [f"stage {stage} is done" for stage in stages]
    begins = f"run {world.status['run']['id']} of generation 1 begins"
    told = [f"{before}; {begin}" for before, begin in zip([begins, *done], made, strict=False)]
    assert [event.message for event in world.events[:-1]] == told
    assert [event.reason for event in world.events] == ["Accepted", *["StageSucceeded"] * 3, "Published"]
    assert {event.type for event in world.events} == {"Normal"}


def test_without_test_rows_and_prompts_evaluate_is_skipped() -> None:
    script_dataset = {**DATASET, "test": 0}

    def script(stage: str, attempt: int) -> End:
        return End(message=stage_result(stage, dataset=script_dataset)) if stage == "prepare" else good(stage, attempt)

    world = World(make_finetunejob(**NO_TEST), script).run()
    assert world.job_names() == ["prepare-0", "train-0", "publish-0"]
    assert world.stage("evaluate")["state"] == "Skipped"
    assert world.condition("Evaluated") == {**world.condition("Evaluated"), "status": "False", "reason": "Skipped"}
    settled(world)


def test_a_run_that_is_already_published_ends_after_prepare() -> None:
    def script(stage: str, attempt: int) -> End:
        return End(message=stage_result(stage, alreadyPublished=ARTIFACT, evaluation=SCORES))

    world = World(make_finetunejob(), script).run()
    assert world.job_names() == ["prepare-0"]
    assert world.condition("Ready") == {**world.condition("Ready"), "status": "True", "reason": "AlreadyPublished"}
    assert (world.status["artifact"], world.status["evaluation"]) == (ARTIFACT, SCORES)
    assert [s["state"] for s in world.status["stages"]] == ["Succeeded", "Skipped", "Skipped", "Skipped"]
    settled(world)


def test_suspending_ends_the_pod_and_resuming_is_the_next_attempt() -> None:
    world = World(make_finetunejob(), lambda s, a: End(None) if (s, a) == ("train", 0) else good(s, a))
    world.run(until=lambda w: "train-0" in w.job_names() and w.stage("train")["state"] == "Running")
    world.play()
    world.spec(suspend=True)
    world.run(until=lambda w: w.condition("Ready")["reason"] == "Suspended")
    assert world.status["phase"] == "Suspended"
    assert "support-0f8fad5b-train-0" in world.deleted
    assert [pod for pod in world.of("Pod") if "train" in pod["metadata"]["name"]] == []
    assert world.condition("Stalled") == {}
    settled(world)
    world.now += timedelta(hours=100)
    world.spec(suspend=False)
    world.run()
    assert world.job_names() == ["prepare-0", "train-0", "train-1", "evaluate-0", "publish-0"]
    assert world.stage("train")["failures"] == 0
    assert world.status["run"]["suspendedSeconds"] >= 100 * 3600
    assert world.condition("Ready")["status"] == "True"


def test_a_job_that_is_created_suspended_makes_nothing() -> None:
    world = World(make_finetunejob(suspend=True)).run()
    assert world.created == []
    assert world.condition("Ready")["reason"] == "Suspended"


def test_the_pod_of_a_suspended_stage_is_waited_for() -> None:
    world = World(make_finetunejob(), lambda s, a: End(None))
    world.run(until=lambda w: w.job_names() == ["prepare-0"] and bool(w.of("Pod")))
    pod = world.of("Pod")[0]
    world.spec(suspend=True)
    world.step()
    world.step()
    world.objects["Pod", pod["metadata"]["name"]] = pod
    world.step()
    # Suspended is only said when nothing writes any more.
    assert (world.condition("Ready")["reason"], world.condition("Reconciling")["status"]) == ("Running", "True")
    del world.objects["Pod", pod["metadata"]["name"]]
    world.step()
    assert (world.condition("Ready")["reason"], world.condition("Reconciling")) == ("Suspended", {})


def test_a_stage_that_crashes_is_tried_again_after_a_pause_that_doubles() -> None:
    world = World(make_finetunejob(), lambda s, a: End(1) if s == "train" and a < 2 else good(s, a)).run()
    assert world.job_names() == ["prepare-0", "train-0", "train-1", "train-2", "evaluate-0", "publish-0"]
    made = {job["metadata"]["name"]: job for job in world.of("Job")}
    pauses = []
    for attempt in (0, 1):
        end = made[f"support-0f8fad5b-train-{attempt}"]["status"]["conditions"][0]["lastTransitionTime"]
        start = made[f"support-0f8fad5b-train-{attempt + 1}"]["metadata"]["creationTimestamp"]
        pauses.append((end, start))
    seconds = [int(b[14:16]) * 60 + int(b[17:19]) - int(a[14:16]) * 60 - int(a[17:19]) for a, b in pauses]
    assert seconds[0] >= 10
    assert seconds[1] >= 20
    assert (world.stage("train")["failures"], world.stage("train")["attempt"]) == (2, 2)
    assert [e.reason for e in world.events if e.type == "Warning"] == ["Retrying", "Retrying"]


def test_a_stage_that_goes_on_crashing_fails_the_run_with_its_last_words() -> None:
    world = World(make_finetunejob(retry={"failures": 1}), lambda s, a: End(1))
    world.logs = {(f"support-0f8fad5b-prepare-{a}-{n}", "trainer"): "Traceback\nKeyError: 'rope'" for a in (0, 1)
                  for n in range(9)}
    world.run()
    assert world.job_names() == ["prepare-0", "prepare-1"]
    stalled = world.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "Crashed")
    assert "KeyError: 'rope'" in stalled["message"]
    assert "attempt 2 of 2" in stalled["message"]
    assert world.condition("DataValid")["status"] == "False"
    settled(world)


def test_a_failure_that_no_retry_changes_ends_the_run_at_once() -> None:
    said = stage_result("prepare", code=11, message="rows.jsonl:17 messages[1].role is 'bot'. Fix: use assistant.")
    world = World(make_finetunejob(), lambda s, a: End(11, said)).run()
    assert world.job_names() == ["prepare-0"]
    ready = world.condition("Ready")
    assert (ready["status"], ready["reason"]) == ("False", "BadData")
    assert ready["message"] == "stage prepare: rows.jsonl:17 messages[1].role is 'bot'. Fix: use assistant."
    assert world.status["phase"] == "Failed"
    settled(world)


def test_a_corrected_spec_after_a_failure_is_a_new_run_with_new_counters() -> None:
    world = World(make_finetunejob(), lambda s, a: End(11)).run()
    first = world.status["run"]["id"]
    world.script = good
    world.spec(dataset={"uri": "pvc://data/better.jsonl"})
    world.run()
    assert world.condition("Ready")["status"] == "True"
    assert world.status["run"] == {**world.status["run"], "generation": 2, "state": "Succeeded"}
    assert first not in world.run_labels()
    assert {s["attempt"] for s in world.status["stages"]} == {0}
    assert f"support-0f8fad5b-ws-{first}" in world.deleted
    settled(world)


@pytest.mark.parametrize("changes", [
    {"resources": {"cpu": "2", "memory": "4Gi"}}, {"deadline": "48h"}, {"retry": {"failures": 9}}], ids=str)
def test_after_a_failure_any_edit_starts_again(changes: dict[str, object]) -> None:
    world = World(make_finetunejob(), lambda s, a: End(11)).run()
    world.script = good
    world.spec(**changes)
    assert world.run().status["phase"] == "Succeeded"


@pytest.mark.parametrize("changes", [
    {"suspend": True}, {"deadline": "48h"}, {"retry": {"failures": 9}}, {"resources": {"cpu": "4"}}], ids=str)
def test_after_success_fields_that_do_not_shape_the_result_change_nothing(changes: dict[str, object]) -> None:
    world = World(make_finetunejob()).run()
    made = list(world.created)
    world.spec(**changes)
    world.run()
    assert world.created == made
    assert world.condition("Ready") == {**world.condition("Ready"), "status": "True", "observedGeneration": 2}
    assert world.status["observedGeneration"] == 2
    settled(world)


def test_after_success_a_new_run_id_trains_again() -> None:
    world = World(make_finetunejob()).run()
    world.spec(runId="again")
    world.run()
    assert world.job_names() == ALL * 2
    assert world.condition("Ready")["status"] == "True"


def test_an_evicted_pod_is_counted_once_and_costs_no_attempt() -> None:
    lost: list[int] = []

    def script(stage: str, attempt: int) -> End:
        if stage == "train" and not lost:
            lost.append(1)
            return End(42)
        return good(stage, attempt)

    world = World(make_finetunejob(), script).run()
    assert world.job_names() == ALL
    assert (world.stage("train")["disruptions"], world.stage("train")["attempt"]) == (1, 0)


def test_too_many_evictions_end_the_run() -> None:
    world = World(make_finetunejob(retry={"disruptions": 2}), lambda s, a: End(42)).run()
    assert world.condition("Stalled")["reason"] == "TooManyDisruptions"
    assert "3 pods" in world.condition("Ready")["message"]
    assert world.of("Job") == []


def test_a_run_that_takes_too_long_is_ended_and_its_pod_removed() -> None:
    world = World(make_finetunejob(deadline="10m"), lambda s, a: End(None))
    world.run(until=lambda w: w.status.get("phase") == "Failed")
    world.run()
    assert world.condition("Stalled")["reason"] == "DeadlineExceeded"
    assert "10m" in world.condition("Ready")["message"]
    assert world.of("Job") == []
    settled(world)


@pytest.mark.parametrize(("retain", "code", "kept"), [
    ("OnFailure", 0, False), ("OnFailure", 11, True), ("Always", 0, True), ("Always", 11, True),
    ("Never", 0, False), ("Never", 11, False)])
def test_the_workspace_outlives_the_run_as_the_spec_says(retain: str, code: int, kept: bool) -> None:
    world = World(make_finetunejob(workspace={"retain": retain}), lambda s, a: good(s, a) if code == 0 else End(code))
    world.run()
    assert bool(world.of("PersistentVolumeClaim")) is kept


def test_deleting_the_resource_makes_nothing_and_says_nothing() -> None:
    world = World(make_finetunejob(deleting=True))
    plan = world.step()
    assert (plan.creates, plan.deletes, plan.status, plan.requeue_after) == ((), (), None, None)


def test_an_unknown_field_is_named_and_touches_nothing() -> None:
    world = World(make_finetunejob(newField=1))
    plan = world.step()
    assert (plan.creates, plan.requeue_after) == ((), None)
    assert world.condition("Stalled")["reason"] == "UnsupportedSpec"
    assert "spec.newField" in world.condition("Stalled")["message"]
    settled(world)
    del world.resource["spec"]["newField"]
    assert world.run().status["phase"] == "Succeeded"
