"""One way to provoke each Reason. A reason without an entry here fails a test: it would be documentation of nothing."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from anneal_api.conditions import Reason
from anneal_operator.decide.classify import VOLUME_PATIENCE
from anneal_operator.decide.facts import WriteError
from anneal_operator.decide.sight import JOB_PATIENCE
from tests.factories import (
    ARTIFACT,
    DATASET,
    Object,
    exited,
    make_condition,
    make_event,
    make_finetunejob,
    make_modeldeployment,
    stage_result,
    waiting,
)
from tests.unit.operator.decide.world import End, World, good

Scenario = Callable[[], World]


def job(until: str = "", script: Callable[[str, int], End] = good, **spec: Any) -> World:
    """A FineTuneJob, run to its end or until a Job of this name was made."""
    world = World(make_finetunejob(**spec), script)
    return world.run(until=(lambda w: until in w.job_names()) if until else None)


def ending(code: int, message: str = "", reason: str = "", stage: str = "train") -> Scenario:
    """The stage's container ends like this every time."""
    end = End(code, message and json.dumps({"message": message}), reason)
    return lambda: job(script=lambda s, a: end if s == stage else good(s, a))


def stuck(state: Object | None = None, event: str = "", conditions: tuple[Object, ...] = ()) -> Scenario:
    """The train pod does not start, and this is what there is to see."""
    def provoke() -> World:
        world = job("train-0")
        pod = world.add_pod(world.of("Job")[-1])
        pod["status"] = {"phase": "Pending", "conditions": list(conditions), "containerStatuses": [
            {"name": "trainer", "image": "example.com/trainer:1", "state": state or waiting("ContainerCreating")}]}
        world.warnings = [make_event(pod["metadata"]["name"], event, "FailedMount")] if event else []
        world.now += VOLUME_PATIENCE
        world.step()
        return world
    return provoke


def unscheduled(message: str) -> Scenario:
    """The scheduler says this about the train pod."""
    return stuck(conditions=(make_condition("PodScheduled", "False", "Unschedulable", message),))


def no_pod(message: str) -> Scenario:
    """The Job controller says this about the pod that it cannot make."""
    def provoke() -> World:
        world = job("train-0")
        world.warnings = [make_event(world.of("Job")[-1]["metadata"]["name"], message)]
        world.now += JOB_PATIENCE
        world.step()
        return world
    return provoke


def refused(reason: Any, message: str) -> Scenario:
    """The API server takes no Job."""
    def provoke() -> World:
        world = World(make_finetunejob())
        world.refuse = lambda manifest: WriteError(
            "Job", manifest["metadata"]["name"], 403, reason, message) if manifest["kind"] == "Job" else None
        for _ in range(4):
            world.step()
        return world
    return provoke


def without(spec: Object | None = None, **changes: Any) -> Scenario:
    """Something that the spec names is not there."""
    def provoke() -> World:
        world = World(make_finetunejob(**(spec or {})))
        for key, value in changes.items():
            setattr(world, key, value)
        for _ in range(3):
            world.step()
        return world
    return provoke


def running(change: Callable[[World, Object], None]) -> Scenario:
    """The train pod runs, then this happens to it."""
    def provoke() -> World:
        world = job("train-0", lambda s, a: End(None) if s == "train" else good(s, a))
        world.play()
        world.step()
        change(world, world.of("Pod")[-1])
        world.step()
        world.step()
        return world
    return provoke


def disrupt(world: World, pod: Object) -> None:
    pod["status"]["phase"] = "Failed"
    pod["status"]["conditions"] = [make_condition("DisruptionTarget", message="default-scheduler: preempting")]


def evict(world: World, pod: Object) -> None:
    text = "The node was low on resource: memory. Container trainer was using 3Gi."
    pod["status"] |= {"phase": "Failed", "reason": "Evicted", "message": text, "containerStatuses": []}
    world.of("Job")[-1]["status"] = {"conditions": [make_condition("Failed", seconds=world.seconds)]}
    world.resource["spec"]["retry"] = {"failures": 0}


def lose_node(world: World, pod: Object) -> None:
    pod["metadata"]["deletionTimestamp"], pod["spec"]["nodeName"] = "2026-03-02T09:00:00Z", "gpu-7"


def deployment(**spec: Any) -> World:
    """A ModelDeployment of a published job, before anything is made."""
    status = {"run": {"id": "x", "generation": 1, "state": "Succeeded"}, "artifact": ARTIFACT}
    return World(make_modeldeployment(**spec), fine_tune_job=make_finetunejob(status=status))


def server(**status: Any) -> Scenario:
    """A server's pod is like this."""
    def provoke() -> World:
        world = deployment()
        world.step()
        pod = world.add_pod(world.of("Deployment")[-1])
        state = {"name": "server", "image": "i", "restartCount": 0, "state": {"running": {}}, **status}
        pod["status"] = {"phase": "Running", "conditions": state.pop("conditions", []), "containerStatuses": [state]}
        world.step()
        return world
    return provoke


def crowded() -> World:
    world = deployment().run()
    world.spec(engine={"maxModelLen": 512})
    world.step()
    newest = world.status["next"]["hash"]
    made = next(d for d in world.of("Deployment") if d["metadata"]["labels"]["anneal.dev/revision"] == newest)
    text = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    world.add_pod(made)["status"] = {
        "phase": "Pending", "conditions": [make_condition("PodScheduled", "False", "Unschedulable", text)]}
    world.step()
    return world


def rolled_back() -> World:
    world = crowded()
    world.now += timedelta(hours=1)
    for _ in range(3):
        world.step()
    return world


def reused() -> World:
    found = stage_result("prepare", alreadyPublished=ARTIFACT)
    return job(script=lambda s, a: End(message=found) if s == "prepare" else good(s, a))


def untested() -> World:
    found = stage_result("prepare", dataset={**DATASET, "test": 0})
    return job(script=lambda s, a: End(message=found) if s == "prepare" else good(s, a))


def suspended() -> World:
    world = World(make_finetunejob(suspend=True))
    for _ in range(3):
        world.step()
    return world


def overdue() -> World:
    world = job("train-0", lambda s, a: End(None) if s == "train" else good(s, a), deadline="1h")
    world.now += timedelta(hours=2)
    world.step()
    return world


def scaled_to_zero() -> World:
    return deployment(replicas=0).run()


def preempted_often() -> World:
    return job(script=lambda s, a: End(42) if s == "train" else good(s, a), retry={"disruptions": 1})


def one_pass(world: World) -> Scenario:
    """What the first pass says."""
    def provoke() -> World:
        world.step()
        return world
    return provoke


UNPUBLISHED = make_finetunejob(status={"run": {"id": "x", "generation": 1, "state": "Running"}})
TEMPLATE = {"source": "configMap", "configMapRef": {"name": "templates", "key": "t"}}
MOUNT = 'MountVolume.SetUp failed for volume "hf" : '

SCENARIOS: dict[Reason, Scenario] = {
    Reason.ACCEPTED: one_pass(World(make_finetunejob())),
    Reason.WAITING: lambda: job("prepare-0"),
    Reason.RUNNING: lambda: job("train-0"),
    Reason.STARTING: one_pass(deployment()),
    Reason.SUSPENDED: suspended,
    Reason.RETRYING: ending(1),
    Reason.STAGE_SUCCEEDED: job,
    Reason.SKIPPED: untested,
    Reason.PUBLISHED: job,
    Reason.ALREADY_PUBLISHED: reused,
    Reason.SERVING: lambda: deployment().run(),
    Reason.SCALED_TO_ZERO: scaled_to_zero,
    Reason.ROLLED_BACK: rolled_back,
    Reason.UNSCHEDULABLE: unscheduled("0/3 nodes are available: 3 Insufficient cpu."),
    Reason.IMAGE_PULL_FAILED: stuck(waiting("ErrImagePull", "401 Unauthorized")),
    Reason.CLAIM_NOT_FOUND: without(claims={"models"}),
    Reason.SECRET_NOT_FOUND: stuck(event=f'{MOUNT}secret "hf-token" not found'),
    Reason.CONFIG_MAP_NOT_FOUND: without(spec={"template": TEMPLATE}),
    Reason.VOLUME_NOT_READY: unscheduled("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."),
    Reason.QUOTA_EXCEEDED: no_pod("pods x is forbidden: exceeded quota: gpus, requested: cpu=8, limited: cpu=4"),
    Reason.POD_REJECTED: no_pod('admission webhook "policy.example.com" denied the request: no'),
    Reason.WEBHOOK_UNAVAILABLE: refused("Forbidden", 'failed calling webhook "policy.example.com": refused'),
    Reason.CONTAINER_NOT_STARTED: stuck(waiting("CreateContainerError", "failed to generate container spec")),
    Reason.NODE_LOST: running(lose_node),
    Reason.PERMISSION_DENIED: refused("Forbidden", 'User "anneal" cannot create resource "jobs"'),
    Reason.FINE_TUNE_JOB_NOT_FOUND: one_pass(World(make_modeldeployment())),
    Reason.FINE_TUNE_JOB_NOT_PUBLISHED: one_pass(World(make_modeldeployment(), fine_tune_job=UNPUBLISHED)),
    Reason.INSUFFICIENT_SURGE_CAPACITY: crowded,
    Reason.PREEMPTED: running(disrupt),
    Reason.EVICTED: running(evict),
    Reason.UNSUPPORTED_SPEC: one_pass(World(make_finetunejob(newField=1))),
    Reason.FIELD_TAKEN: refused("Conflict", 'conflict with "kubectl-scale" using apps/v1: .spec.replicas'),
    Reason.NAME_TAKEN: refused("NameTaken", "Job support exists and was not made for this resource"),
    Reason.BAD_CONFIG: ending(10, "targetModules: no module is called nope"),
    Reason.BAD_DATA: ending(11, "rows.jsonl:17 is no JSON", stage="prepare"),
    Reason.DATASET_NOT_FOUND: ending(18, "/mnt/pvc/data/rows.jsonl does not exist", stage="prepare"),
    Reason.MODEL_NOT_FOUND: ending(19, "example/model has no config.json", stage="prepare"),
    Reason.MODEL_MISMATCH: ending(12, "the tokenizer has 32001 tokens, the model 32000", stage="prepare"),
    Reason.OUT_OF_MEMORY: ending(137, reason="OOMKilled"),
    Reason.CUDA_OUT_OF_MEMORY: ending(13, "tried to allocate 2 GiB, 1 GiB is free"),
    Reason.LOSS_NOT_FINITE: ending(14, "the loss is nan at step 12"),
    Reason.STORAGE_UNAVAILABLE: ending(15, "/mnt/pvc/models: Input/output error", stage="publish"),
    Reason.DISK_FULL: ending(16, "/workspace: needs 3 GiB, 1 GiB is free"),
    Reason.NO_VALID_CHECKPOINT: ending(17, "none of 2 checkpoints is whole"),
    Reason.NO_PROGRESS: ending(20, "no sign of life for 3600 s (spec.stallTimeout); the main thread stands at "
                                   "all_reduce (distributed_c10d.py:2810)"),
    Reason.TOO_MANY_DISRUPTIONS: preempted_often,
    Reason.DEADLINE_EXCEEDED: overdue,
    Reason.CRASHED: ending(1),
    Reason.RESULT_MISSING: ending(0),
    Reason.ARTIFACT_INVALID: server(state=exited(12, '{"message": "model.safetensors has sha256 x"}')),
    Reason.SERVER_CRASHED: server(state=waiting("CrashLoopBackOff"), restartCount=3, lastState=exited(1, "words")),
    Reason.SERVER_NOT_READY: server(conditions=[make_condition("PodScheduled", seconds=-1300)]),
}
