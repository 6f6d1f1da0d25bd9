"""Evidence in, reason out: one row for each thing that a user meets."""

from datetime import timedelta
from typing import Any

import pytest

from anneal_api.conditions import Reason
from anneal_api.termination import ExitCode
from anneal_operator.decide import classify
from anneal_operator.decide.facts import WriteError
from tests.factories import (
    START,
    exited,
    make_event,
    make_job,
    make_pod,
    progress_line,
    stage_result,
    unscheduled,
    waiting,
)

WHERE = "stage train"


def pending(state: dict[str, Any]) -> dict[str, Any]:
    return make_pod(phase="Pending", state=state)


GPU = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. preemption: 0/3 nodes are available"
STUCK: dict[str, tuple[dict[str, Any], str, Reason, str]] = {
    "no node has room": (unscheduled(GPU), "", Reason.UNSCHEDULABLE, "3 Insufficient nvidia.com/gpu"),
    "a claim does not exist": (unscheduled('persistentvolumeclaim "data" not found'), "",
                               Reason.CLAIM_NOT_FOUND, "data"),
    "a claim is not bound": (unscheduled("pod has unbound immediate PersistentVolumeClaims"), "",
                             Reason.VOLUME_NOT_READY, "unbound"),
    "a claim is in another zone": (unscheduled("1 node(s) had volume node affinity conflict"), "",
                                   Reason.VOLUME_NOT_READY, "affinity"),
    "an image cannot be pulled": (pending(waiting("ImagePullBackOff", "Back-off pulling")), "",
                                  Reason.IMAGE_PULL_FAILED, "example.com/trainer:1"),
    "an image does not exist": (pending(waiting("ErrImagePull", "not found")), "", Reason.IMAGE_PULL_FAILED, "trainer"),
    "an image name is wrong": (pending(waiting("InvalidImageName", "")), "", Reason.IMAGE_PULL_FAILED, "trainer"),
    "a Secret does not exist": (pending(waiting("ContainerCreating")),
                                'MountVolume.SetUp failed for volume "hf" : secret "hf-token" not found',
                                Reason.SECRET_NOT_FOUND, "hf-token"),
    "a Secret lacks the key": (pending(waiting("ContainerCreating")),
                               'MountVolume.SetUp failed for volume "hf" : references non-existent secret key: token',
                               Reason.SECRET_NOT_FOUND, "token"),
    "a ConfigMap does not exist": (pending(waiting("ContainerCreating")),
                                   'MountVolume.SetUp failed for volume "template" : configmap "t" not found',
                                   Reason.CONFIG_MAP_NOT_FOUND, '"t"'),
    "a container cannot be configured": (pending(waiting("CreateContainerConfigError", 'secret "s" not found')), "",
                                         Reason.SECRET_NOT_FOUND, '"s"'),
    "a volume cannot be attached": (pending(waiting("ContainerCreating")),
                                    'Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) x',
                                    Reason.VOLUME_NOT_READY, "Multi-Attach"),
}


@pytest.mark.parametrize(("pod", "event", "reason", "word"), STUCK.values(), ids=STUCK)
def test_a_pod_that_does_not_start(pod: dict[str, Any], event: str, reason: Reason, word: str) -> None:
    events = [make_event("pod-0", event, "FailedMount")] if event else []
    verdict = classify.stuck(pod, events, WHERE, START + classify.VOLUME_PATIENCE)
    assert verdict
    assert (verdict.reason, verdict.terminal) == (reason, False)
    assert word in verdict.message
    assert WHERE in verdict.message
    assert "Fix: " in verdict.message


def test_a_pod_that_simply_starts_is_no_trouble() -> None:
    assert classify.stuck(pending(waiting("ContainerCreating")), [], WHERE, START) is None
    assert classify.stuck(pending(waiting("PodInitializing")), [], WHERE, START) is None


def test_events_of_another_pod_do_not_count() -> None:
    event = make_event("pod-1", 'secret "hf" not found', "FailedMount")
    assert classify.stuck(pending(waiting("ContainerCreating")), [event], WHERE, START) is None


def test_the_newest_event_counts() -> None:
    events = [make_event("pod-0", 'configmap "t" not found', "FailedMount", seconds=9),
              make_event("pod-0", 'secret "hf" not found', "FailedMount", seconds=1)]
    verdict = classify.stuck(pending(waiting("ContainerCreating")), events, WHERE, START)
    assert verdict
    assert verdict.reason is Reason.CONFIG_MAP_NOT_FOUND


def test_an_image_that_cannot_be_pulled_for_ten_minutes_ends_the_run() -> None:
    pod = pending(waiting("ImagePullBackOff"))
    before = classify.stuck(pod, [], WHERE, START + timedelta(minutes=10))
    after = classify.stuck(pod, [], WHERE, START + timedelta(minutes=10, seconds=1))
    assert (before and before.terminal, after and after.terminal) == (False, True)
    assert {before and before.message} == {after and after.message}


NO_POD = {
    "quota": ("pods x is forbidden: exceeded quota: gpus, requested: nvidia.com/gpu=1", Reason.QUOTA_EXCEEDED),
    "pod security": ('pods x is forbidden: violates PodSecurity "restricted:latest"', Reason.POD_REJECTED),
    "priority class": ("pods x is forbidden: no PriorityClass with name high was found", Reason.POD_REJECTED),
    "limit range": ("pods x is forbidden: maximum cpu usage per Container is 1", Reason.POD_REJECTED),
    "webhook": ('admission webhook "x" denied the request: no', Reason.POD_REJECTED),
    "silent webhook": ('Internal error occurred: failed calling webhook "x": connection refused',
                       Reason.WEBHOOK_UNAVAILABLE),
    "words that nobody knows": ("the moon is in the wrong quarter", Reason.POD_REJECTED),
}


@pytest.mark.parametrize(("text", "reason"), NO_POD.values(), ids=NO_POD)
def test_a_job_that_gets_no_pod_is_explained_by_its_events(text: str, reason: Reason) -> None:
    job = make_job()
    verdict = classify.no_pod(job, [make_event(job["metadata"]["name"], text)], WHERE)
    assert verdict
    assert (verdict.reason, verdict.terminal) == (reason, False)
    assert text in verdict.message


ENDS: dict[str, tuple[dict[str, Any], str, Reason, bool, str]] = {
    "killed at its limit": (exited(137, reason="OOMKilled"), "", Reason.OUT_OF_MEMORY, True, "memory limit of 2Gi"),
    "killed without a reason": (exited(137), "Killed", Reason.CRASHED, False, "exit code 137"),
    "a bad row": (exited(11, stage_result("prepare", code=11, message="rows.jsonl:17 is bad")), "",
                  Reason.BAD_DATA, True, "rows.jsonl:17 is bad"),
    "a bad field": (exited(10, '{"message": "targetModules: no x"}'), "", Reason.BAD_CONFIG, True, "targetModules"),
    "parts that do not fit": (exited(12, '{"message": "m"}'), "", Reason.MODEL_MISMATCH, True, "m"),
    "GPU memory": (exited(13, '{"message": "m"}'), "", Reason.CUDA_OUT_OF_MEMORY, True, "m"),
    "a loss that is not finite": (exited(14, '{"message": "m"}'), "", Reason.LOSS_NOT_FINITE, True, "m"),
    "storage that is down": (exited(15, '{"message": "m"}'), "", Reason.STORAGE_UNAVAILABLE, False, "m"),
    "a full disk": (exited(16, '{"message": "/workspace: 1 GiB free"}'), "", Reason.DISK_FULL, True, "/workspace"),
    "stands still": (exited(20, '{"message": "m"}'), "", Reason.NO_PROGRESS, False, "m"),
    "damaged checkpoints": (exited(17, '{"message": "m"}'), "", Reason.NO_VALID_CHECKPOINT, True, "m"),
    "no dataset": (exited(18, '{"message": "m"}'), "", Reason.DATASET_NOT_FOUND, True, "m"),
    "no model": (exited(19, '{"message": "m"}'), "", Reason.MODEL_NOT_FOUND, True, "m"),
    "a crash": (exited(1), "Traceback\nKeyError: 'x'\n", Reason.CRASHED, False, "KeyError: 'x'"),
    "a crash without a log": (exited(1), "", Reason.CRASHED, False, "there is no log to read"),
    "a known code without a message": (exited(11), "last words", Reason.BAD_DATA, True, "last words"),
    "a code that nobody knows": (exited(99), "", Reason.CRASHED, False, "exit code 99"),
    "killed by somebody": (exited(137), "", Reason.CRASHED, False, "exit code 137 (SIGKILL)"),
    "a fault of memory": (exited(139), "", Reason.CRASHED, False, "exit code 139 (SIGSEGV)"),
    "a code above all signals": (exited(255), "", Reason.CRASHED, False, "exit code 255;"),
    "a loader of rows that was killed": (
        exited(1), "RuntimeError: DataLoader worker (pid 77) is killed by signal: Killed. ", Reason.OUT_OF_MEMORY,
        False, "a child was killed, most likely at the memory limit of 2Gi"),
    "a rank that was killed": (exited(1), "  exitcode  : -9 (pid: 21)", Reason.OUT_OF_MEMORY, False, "a child"),
    "a program that the image lacks": (
        exited(128, 'exec: "python": executable file not found in $PATH', reason="StartError"), "",
        Reason.CONTAINER_NOT_STARTED, False, "executable file not found"),
}


@pytest.mark.parametrize(("state", "log", "reason", "terminal", "word"), ENDS.values(), ids=ENDS)
def test_a_container_that_ended(state: dict[str, Any], log: str, reason: Reason, terminal: bool, word: str) -> None:
    verdict = classify.ended_badly(make_pod(phase="Failed", state=state), "trainer", WHERE, log)
    assert (verdict.reason, verdict.terminal) == (reason, terminal)
    assert word in verdict.message
    assert verdict.message.startswith(WHERE)


def put_out(message: str, code: int | None) -> dict[str, Any]:
    pod = make_pod(phase="Failed", state={"waiting": {}} if code is None else exited(code))
    pod["status"] |= {"reason": "Evicted", "message": message}
    return pod


@pytest.mark.parametrize("code", [None, 137])
@pytest.mark.parametrize(("message", "reason", "terminal", "fix"), [
    ('Usage of EmptyDir volume "tmp" exceeds the limit "1Gi".', Reason.DISK_FULL, True, "raise the limit"),
    ("Pod ephemeral local storage usage exceeds the total limit of containers 8Gi.", Reason.DISK_FULL, True, "limit"),
    ("The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi, available: 9Mi.", Reason.EVICTED, False,
     "ran out of ephemeral-storage"),
    ("The node was low on resource: memory. Container trainer was using 3Gi.", Reason.EVICTED, False, "of memory"),
    ("Pod was put out.", Reason.EVICTED, False, "spec.resources")])
def test_a_pod_that_its_node_put_out(
    message: str, reason: Reason, terminal: bool, fix: str, code: int | None,
) -> None:
    verdict = classify.ended_badly(put_out(message, code), "trainer", WHERE, "")
    assert (verdict.reason, verdict.terminal) == (reason, terminal)
    assert message.rstrip(".") in verdict.message
    assert fix in verdict.message.partition("Fix: ")[2]


LAST_WORDS = {
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB": "ask for a larger one",
    "ValueError: No available memory for the cache blocks.": "lower engine.maxModelLen",
    "OSError: [Errno 28] No space left on device": "A volume is full",
    "RuntimeError: CUDA error: no kernel image is available for execution on the device": "built for it",
    "CUDA driver version is insufficient for CUDA runtime version": "driver is older",
    "CUDA error: uncorrectable ECC error encountered": "cordon its node",
    "Illegal instruction (core dumped)": "choose another node",
    "ValueError: Model architectures ['Own'] are not supported for now.": "does not know this kind of model",
    "KeyError: 'x'": "Read the last log lines",
}


@pytest.mark.parametrize(("line", "fix"), LAST_WORDS.items(), ids=range(len(LAST_WORDS)))
def test_last_words_that_are_known_have_a_fix_and_change_no_reason(line: str, fix: str) -> None:
    verdict = classify.ended_badly(make_pod(phase="Failed", state=exited(1)), "trainer", WHERE, f"start\n{line}\n")
    assert (verdict.reason, verdict.terminal) == (Reason.CRASHED, False)
    assert line.rstrip(".") in verdict.message
    assert fix in verdict.message.partition("Fix: ")[2]


@pytest.mark.parametrize("reason", ["OutOfcpu", "OutOfnvidia.com/gpu", "UnexpectedAdmissionError", "NodeAffinity"])
def test_a_pod_that_its_node_refused_is_tried_again_elsewhere(reason: str) -> None:
    pod = put_out("Pod was rejected: Allocate failed due to no healthy devices present", None)
    pod["status"]["reason"] = reason
    verdict = classify.ended_badly(pod, "trainer", WHERE, "")
    assert (verdict.reason, verdict.terminal) == (Reason.EVICTED, False)
    assert "no healthy devices" in verdict.message


@pytest.mark.parametrize(("state", "text"), [
    ("CreateContainerError", "failed to generate container spec: no such device"),
    ("RunContainerError", "failed to create shim task"), ("CreateContainerConfigError", "cannot find volume x")])
def test_a_container_that_cannot_be_started(state: str, text: str) -> None:
    verdict = classify.stuck(pending(waiting(state, text)), [], WHERE, START)
    assert verdict
    assert verdict.reason in (Reason.CONTAINER_NOT_STARTED, Reason.VOLUME_NOT_READY)
    assert f"container trainer: {text}" in verdict.message


PULLS = {
    "a login": ("failed to authorize: 401 Unauthorized", "wants a login"),
    "no such tag": ("failed to resolve reference: example.com/trainer:1: not found", "no such image"),
    "too many pulls": ("429 Too Many Requests: you have reached your pull rate limit", "limits pulls"),
    "no network": ("dial tcp: lookup example.com: no such host", "does not reach the registry"),
    "nothing known": ("unexpected end of file", "Check the image name"),
}


@pytest.mark.parametrize(("text", "fix"), PULLS.values(), ids=PULLS)
def test_both_wordings_of_an_image_that_cannot_be_pulled_give_one_message(text: str, fix: str) -> None:
    said = make_event("pod-0", f'Failed to pull image "example.com/trainer:1": {text}', "Failed")
    told = classify.stuck(pending(waiting("ErrImagePull", text)), [said], WHERE, START)
    later = classify.stuck(pending(waiting("ImagePullBackOff", "Back-off pulling image")), [said], WHERE, START)
    assert told
    assert told == later
    assert fix in told.message.partition("Fix: ")[2]


def test_what_is_short_is_named_with_what_the_pod_asks_for() -> None:
    text = "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {gpu: yes}."
    pod = unscheduled(text)
    pod["spec"]["containers"][0]["resources"]["requests"] = {"cpu": "64"}
    pod["spec"]["initContainers"] = [{"name": "engine", "resources": {"requests": {"cpu": "2"}}}]
    verdict = classify.stuck(pod, [], WHERE, START)
    assert verdict
    assert "It asks for cpu 2 + 64" in verdict.message
    assert verdict.message.endswith("Fix: Lower spec.resources.cpu or tolerate the taint gpu: yes in "
                                    "spec.scheduling.tolerations, or add a node that fits.")


def test_a_pod_whose_node_is_gone_is_told_after_half_a_minute() -> None:
    pod = make_pod()
    pod["metadata"]["deletionTimestamp"], pod["spec"]["nodeName"] = "2026-03-02T10:00:00Z", "gpu-7"
    assert classify.lost(pod, WHERE, START + timedelta(seconds=29)) is None
    verdict = classify.lost(pod, WHERE, START + timedelta(seconds=30))
    assert verdict
    assert (verdict.reason, verdict.terminal) == (Reason.NODE_LOST, False)
    assert "node gpu-7" in verdict.message
    pod["status"]["phase"] = "Failed"
    assert classify.lost(pod, WHERE, START + timedelta(hours=1)) is None


def test_a_pod_whose_container_never_ran_says_why() -> None:
    pod = make_pod(phase="Failed", state={"waiting": {}})
    pod["status"]["message"] = "Pod was rejected: Node didn't have enough resource: cpu"
    verdict = classify.ended_badly(pod, "trainer", WHERE, "")
    assert verdict.reason is Reason.CRASHED
    assert "enough resource" in verdict.message


def test_a_log_is_cut_to_its_last_lines_without_progress() -> None:
    log = "\n".join([f"line {number}" for number in range(100)] + [progress_line(5), "", "the end"])
    tail = classify.log_tail(log)
    assert tail.splitlines() == [*(f"line {number}" for number in range(81, 100)), "the end"]
    assert len(classify.log_tail("x" * 5000)) == classify.MAX_LOG_CHARS


def test_a_message_with_a_fix_keeps_its_own() -> None:
    verdict = classify.Verdict.of(Reason.BAD_DATA, "a row is bad. Fix: do this.")
    assert verdict.message == "a row is bad. Fix: do this."


REFUSED = {
    "quota": ("Forbidden", "exceeded quota: q, requested: cpu=8", Reason.QUOTA_EXCEEDED, False),
    "pod security": ("Forbidden", "violates PodSecurity", Reason.POD_REJECTED, False),
    "rights": ("Forbidden", 'jobs is forbidden: User "u" cannot create resource "jobs"',
               Reason.PERMISSION_DENIED, False),
    "a field of another's": ("Conflict", 'Apply failed with 1 conflict: conflict with "hpa" using v1: .spec.replicas',
                             Reason.FIELD_TAKEN, False),
    "a foreign object": ("NameTaken", "Service support exists", Reason.NAME_TAKEN, True),
    "content": ("Invalid", "spec.x: Invalid value", Reason.POD_REJECTED, False),
}


@pytest.mark.parametrize(("kind", "message", "reason", "terminal"), REFUSED.values(), ids=REFUSED)
def test_a_write_that_the_api_server_refused(kind: Any, message: str, reason: Reason, terminal: bool) -> None:
    error = WriteError("Job", "j", 403, kind, message)
    verdict = classify.refused([error], {("Job", "j")})
    assert verdict
    assert (verdict.reason, verdict.terminal) == (reason, terminal)
    assert message in verdict.message
    assert classify.refused([error], {("Job", "another")}) is None


def test_every_exit_code_of_a_failure_has_a_reason() -> None:
    assert set(classify.BY_EXIT_CODE) == set(ExitCode) - {ExitCode.OK}
