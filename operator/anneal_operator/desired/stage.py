"""The Job of one stage of a run."""

import hashlib
import json
from typing import Any

from anneal_api.finetunejob import FineTuneJobSpec
from anneal_api.model import seconds
from anneal_api.pod import Resources
from anneal_api.run import BASE_MODEL, METRICS_PORT, RUN_FILE, TEMPLATE_DIR, TOKEN_FILE, TUNED_MODEL, WORKSPACE, Stage
from anneal_api.serve import SERVE_FILE, ServeModel, ServeSpec
from anneal_api.uri import parse_claim
from anneal_operator.desired import pod
from anneal_operator.desired.owner import Owner
from anneal_operator.desired.pod import Mount
from anneal_operator.desired.quantity import cores, less, number
from anneal_operator.desired.run import RUN_KEY, config_map_name, workspace_name
from anneal_operator.settings import PodSettings

MAIN = "trainer"
"""The container that is the stage."""
ENGINE = "engine"
"""The sidecar of evaluate: the real serving engine."""
SERVE_KEY = "serve.json"
PREFETCHED_MODEL = f"{WORKSPACE}/model"
"""Where prepare puts an hf:// model."""
CANDIDATE = f"{WORKSPACE}/candidate"
"""Where train puts the tuned model."""
ANNOTATION_RESOURCES = "anneal.dev/resources"
"""Hash of what was asked from the scheduler: a Job that cannot start is replaced when the user asks for less."""

SMALL = {
    Stage.PREPARE: Resources(cpu="1", memory="2Gi"),
    Stage.EVALUATE: Resources(cpu="100m", memory="512Mi"),
    Stage.PUBLISH: Resources(cpu="500m", memory="1Gi"),
}
"""Stages whose own work is small. Train gets spec.resources, and evaluate with its engine no more than that: where
train found room, evaluate must find it too."""

GRACE_SECONDS = {Stage.TRAIN: 120}
"""Train saves a checkpoint when it is told to stop."""

Manifest = dict[str, Any]


def job_name(owner: Owner, stage: Stage, attempt: int) -> str:
    """One attempt at one stage is one Job."""
    return owner.child(stage, attempt)


def resources_of(spec: FineTuneJobSpec, stage: Stage) -> Resources:
    """Resources of the stage's main container."""
    return SMALL.get(stage, spec.resources)


def engine_resources(spec: FineTuneJobSpec) -> Resources:
    """What the evaluator leaves to the engine beside it."""
    wanted, evaluator = spec.resources, SMALL[Stage.EVALUATE]
    return wanted.model_copy(update={"cpu": less(wanted.cpu, evaluator.cpu, "m"),
                                     "memory": less(wanted.memory, evaluator.memory, "Mi")})


def asked(spec: FineTuneJobSpec, stage: Stage) -> str:
    """Hash of what the stage's pod asks from the scheduler."""
    own = [resources_of(spec, stage).to_wire(), spec.scheduling.to_wire()]
    engine = [spec.resources.to_wire()] if stage is Stage.EVALUATE else []
    return hashlib.sha256(json.dumps([*own, *engine], sort_keys=True).encode()).hexdigest()[:16]


def claims_of(spec: FineTuneJobSpec, stage: Stage) -> dict[str, bool]:
    """Claims of the user's that a stage mounts, and whether it writes to them."""
    uris: dict[Stage, list[tuple[str, bool]]] = {
        Stage.PREPARE: [(spec.model.uri, False), (spec.dataset.uri, False), *_prompts(spec), (spec.output.uri, True)],
        Stage.TRAIN: [(spec.model.uri, False)],
        Stage.EVALUATE: [(spec.model.uri, False), *_prompts(spec)],
        Stage.PUBLISH: [(spec.output.uri, True)],
    }
    found: dict[str, bool] = {}
    for uri, writes in uris[stage]:
        if place := parse_claim(uri):
            found[place.claim] = found.get(place.claim, False) or writes
    return found


def _prompts(spec: FineTuneJobSpec) -> list[tuple[str, bool]]:
    return [(spec.evaluation.prompts.uri, False)] if spec.evaluation.prompts else []


def serve_spec(spec: FineTuneJobSpec) -> ServeSpec:
    """What the engine beside evaluate serves: the candidate and its base, from where the run has them."""
    place, resources = parse_claim(spec.model.uri), engine_resources(spec)
    base = ServeModel(name=BASE_MODEL, path=place.mounted if place else PREFETCHED_MODEL)
    tuned = ServeModel(name=TUNED_MODEL, path=CANDIDATE)
    full = spec.method.type == "full"
    return ServeSpec(
        models=[base, tuned] if full else [base], adapters=[] if full else [tuned], tokenizer_path=CANDIDATE,
        # A prompt of the longest row and its answer must fit.
        max_model_len=spec.dataset.max_tokens + spec.evaluation.max_new_tokens,
        gpus=resources.gpus, cpus=cores(resources.cpu), memory_bytes=int(number(resources.memory)))


def serve_config_name(owner: Owner, attempt: int) -> str:
    """Name of the ConfigMap that the engine beside evaluate reads."""
    return owner.child("serve", attempt)


def serve_config(owner: Owner, spec: FineTuneJobSpec, run: str, attempt: int) -> Manifest:
    """What the engine beside one attempt at evaluate reads."""
    text = json.dumps(serve_spec(spec).to_wire(), sort_keys=True)
    metadata = owner.metadata(serve_config_name(owner, attempt), run=run)
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "immutable": True, "data": {SERVE_KEY: text}}


def job(owner: Owner, spec: FineTuneJobSpec, run: str, stage: Stage, attempt: int, settings: PodSettings) -> Manifest:
    """The Job of one attempt at one stage."""
    labels = {"run": run, "stage": str(stage), "attempt": str(attempt)}
    mounts = _mounts(owner, spec, run, stage)
    engine = [_engine(owner, spec, attempt, mounts, settings)] if stage is Stage.EVALUATE else []
    command = ["python", "-m", "anneal_trainer", str(stage), "--run", RUN_FILE]
    if stage is Stage.TRAIN:
        command += ["--stall-seconds", str(seconds(spec.stall_timeout))]
    main = pod.container(MAIN, settings.trainer_image, command, resources_of(spec, stage), mounts, settings)
    if stage is Stage.TRAIN:
        main["ports"] = [{"name": "metrics", "containerPort": METRICS_PORT}]
    pod_spec = pod.spec(
        [main], [*mounts, *_serve_mounts(owner, stage, attempt)], settings, spec.scheduling, init=engine,
        grace_seconds=GRACE_SECONDS.get(stage, 30), select_node=stage in (Stage.TRAIN, Stage.EVALUATE))
    pod_spec["restartPolicy"] = "Never"
    manifest = pod.one_shot(owner, job_name(owner, stage, attempt), pod.template(owner, pod_spec, **labels),
                            main=MAIN, labels=labels)
    manifest["metadata"]["annotations"] = {ANNOTATION_RESOURCES: asked(spec, stage)}
    return manifest


def _mounts(owner: Owner, spec: FineTuneJobSpec, run: str, stage: Stage) -> list[Mount]:
    claims = [mount.writable() if writes else mount
              for mount, writes in ((pod.claim(name), writes) for name, writes in claims_of(spec, stage).items())]
    workspace = {"name": "workspace", "persistentVolumeClaim": {"claimName": workspace_name(owner, run)}}
    own = [Mount(workspace, WORKSPACE, read_only=False),
           pod.config_map("run", config_map_name(owner, run), _folder(RUN_FILE), RUN_KEY)]
    return [*own, *claims, *(_sources(spec) if stage is Stage.PREPARE else [])]


def _sources(spec: FineTuneJobSpec) -> list[Mount]:
    """What only prepare reads: it is the one stage with the Secret."""
    found = []
    if reference := spec.template.config_map_ref:
        found.append(pod.config_map("template", reference.name, TEMPLATE_DIR, reference.key))
    if secret := spec.model.secret_ref:
        volume = {"name": "hf", "secret": {"secretName": secret.name, "optional": False, "defaultMode": 0o440,
                                           "items": [{"key": "token", "path": "token"}]}}
        found.append(Mount(volume, _folder(TOKEN_FILE)))
    return found


def _serve_mounts(owner: Owner, stage: Stage, attempt: int) -> list[Mount]:
    if stage is not Stage.EVALUATE:
        return []
    return [pod.config_map("serve", serve_config_name(owner, attempt), _folder(SERVE_FILE), SERVE_KEY)]


def _engine(owner: Owner, spec: FineTuneJobSpec, attempt: int, mounts: list[Mount], settings: PodSettings) -> Manifest:
    """The engine as a native sidecar: it starts before the evaluator and ends after it."""
    reads = [Mount(mount.volume, mount.path) for mount in mounts]
    command = ["python", "-m", "anneal_server", "serve", "--spec", SERVE_FILE]
    engine = pod.container(ENGINE, settings.vllm_image, command, engine_resources(spec),
                           [*reads, *_serve_mounts(owner, Stage.EVALUATE, attempt)], settings)
    return {**engine, "restartPolicy": "Always"}


def _folder(path: str) -> str:
    return path.rpartition("/")[0]
