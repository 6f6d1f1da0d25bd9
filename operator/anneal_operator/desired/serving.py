"""The children of a ModelDeployment: for each revision a Deployment and its ConfigMap, one Service, a resolve Job."""

import hashlib
import json
from typing import Any

from anneal_api.finetunejob_status import ArtifactStatus
from anneal_api.modeldeployment import BASE_MODEL_NAME, SETTINGS_FIELDS, ModelDeploymentSpec
from anneal_api.pod import Resources
from anneal_api.serve import CACHE_DIR, HEALTH_PATH, PORT, SERVE_FILE, ServeModel, ServeSpec
from anneal_api.uri import parse_claim
from anneal_operator.desired import pod
from anneal_operator.desired.names import LABEL_REVISION, LABEL_UID
from anneal_operator.desired.owner import Owner
from anneal_operator.desired.pod import Mount
from anneal_operator.desired.quantity import cores, number
from anneal_operator.settings import PodSettings

SERVER = "server"
RESOLVE = "resolve"
SERVE_KEY = "serve.json"
DEPLOYMENT_KEY = "deployment.json"
"""The revision's Deployment, frozen when the revision is made: a newer operator must not restart servers."""
SERVICE_PORT = 80
SMALL = Resources(cpu="500m", memory="1Gi")
FETCHED_BASE = f"{CACHE_DIR}/base"
"""Where serve puts an hf:// base model."""
START_SECONDS = 1200
"""Time that a server has to verify and load its weights and answer a prompt."""
PROBE_SECONDS = 25
"""How long the startup probe waits for the engine, see anneal_server/probe.py."""

Manifest = dict[str, Any]


def served_name(owner: Owner, spec: ModelDeploymentSpec) -> str:
    """Model name in requests."""
    return spec.served_name or owner.name


def serve_spec(owner: Owner, spec: ModelDeploymentSpec, artifact: ArtifactStatus) -> ServeSpec:
    """What the server of a revision reads."""
    tuned = ServeModel(name=served_name(owner, spec), path=_mounted(artifact.uri))
    adapter = artifact.kind == "adapter"
    base = ServeModel(name=BASE_MODEL_NAME, path=_mounted(artifact.base_uri)) if adapter else tuned
    return ServeSpec(
        engine=spec.engine.type, artifact=artifact, models=[base], adapters=[tuned] if adapter else [],
        tokenizer_path=tuned.path, max_model_len=spec.engine.max_model_len, gpus=spec.resources.gpus,
        cpus=cores(spec.resources.cpu), memory_bytes=int(number(spec.resources.memory)))


def _mounted(uri: str) -> str:
    place = parse_claim(uri)
    return place.mounted if place else FETCHED_BASE


def revision_hash(owner: Owner, spec: ModelDeploymentSpec, artifact: ArtifactStatus) -> str:
    """Hash of what the user and the artifact decide; what the operator decides must not make a new revision."""
    parts = [artifact.digest, artifact.base_digest, served_name(owner, spec),
             spec.engine.model_dump(mode="json", by_alias=True, exclude_defaults=True),
             spec.resources.to_wire(), spec.scheduling.to_wire()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:8]


def settings_text(spec: ModelDeploymentSpec) -> str:
    """What a revision is made from beside its artifact: kept in the status, so that one can go back to it."""
    wire = spec.model_dump(mode="json", by_alias=True, exclude_none=True, include=set(SETTINGS_FIELDS))
    return json.dumps(wire, sort_keys=True)


def revision_name(owner: Owner, revision: str) -> str:
    """Name of a revision's Deployment and ConfigMap."""
    return owner.child(revision)


def config_map(
    owner: Owner, spec: ModelDeploymentSpec, artifact: ArtifactStatus, revision: str, settings: PodSettings,
) -> Manifest:
    """A revision, frozen."""
    data = {SERVE_KEY: serve_spec(owner, spec, artifact).to_wire(),
            DEPLOYMENT_KEY: _deployment(owner, spec, artifact, revision, settings)}
    return {
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": owner.metadata(revision_name(owner, revision), revision=revision), "immutable": True,
        "data": {key: json.dumps(value, sort_keys=True) for key, value in data.items()},
    }


def deployment(frozen: Manifest, replicas: int) -> Manifest:
    """The Deployment that a revision's ConfigMap holds, with the replicas wanted now."""
    manifest: Manifest = json.loads(frozen["data"][DEPLOYMENT_KEY])
    manifest["spec"]["replicas"] = replicas
    return manifest


def _deployment(
    owner: Owner, spec: ModelDeploymentSpec, artifact: ArtifactStatus, revision: str, settings: PodSettings,
) -> Manifest:
    mounts = [*_claims(artifact), _serve_mount(revision_name(owner, revision))]
    image = settings.engine_image(spec.engine.type)
    server = pod.container(SERVER, image, _command("serve"), spec.resources, mounts, settings)
    server |= _probes() | {"ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
                           # The endpoint goes out of the Service while requests under way are still answered.
                           "lifecycle": {"preStop": {"sleep": {"seconds": 5}}}}
    pod_spec = pod.spec([server], mounts, settings, spec.scheduling, grace_seconds=60)
    return {
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": owner.metadata(revision_name(owner, revision), revision=revision),
        "spec": {
            "selector": {"matchLabels": selector(owner, revision)}, "revisionHistoryLimit": 0,
            # On a cluster whose GPUs are all taken, a surge would wait for ever.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
            "progressDeadlineSeconds": START_SECONDS,
            "template": pod.template(owner, pod_spec, revision=revision),
        },
    }


def _serve_mount(config: str) -> Mount:
    return pod.config_map("serve", config, SERVE_FILE.rpartition("/")[0], SERVE_KEY)


def _probes() -> Manifest:
    health = {"path": HEALTH_PATH, "port": "http", "scheme": "HTTP"}
    return {
        "startupProbe": {"exec": {"command": ["python", "-S", "-m", "anneal_server.probe", SERVE_FILE]},
                         "periodSeconds": 1, "timeoutSeconds": PROBE_SECONDS + 5,
                         "failureThreshold": START_SECONDS // PROBE_SECONDS},
        "readinessProbe": {"httpGet": health, "periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 3},
        "livenessProbe": {"httpGet": health, "periodSeconds": 20, "timeoutSeconds": 10, "failureThreshold": 6},
    }


def _claims(artifact: ArtifactStatus) -> list[Mount]:
    places = [parse_claim(uri) for uri in (artifact.uri, artifact.base_uri) if uri]
    return [pod.claim(name) for name in sorted({place.claim for place in places if place})]


def selector(owner: Owner, revision: str) -> dict[str, str]:
    """Labels of a revision's pods."""
    return {LABEL_UID: owner.uid, LABEL_REVISION: revision}


def service(owner: Owner, revision: str) -> Manifest:
    """The one address; it leads to one revision at a time."""
    return {
        "apiVersion": "v1", "kind": "Service", "metadata": owner.metadata(owner.name),
        "spec": {"type": "ClusterIP", "selector": selector(owner, revision),
                 "ports": [{"name": "http", "port": SERVICE_PORT, "targetPort": "http", "protocol": "TCP"}]},
    }


def address(owner: Owner) -> str:
    """Where requests go, inside the cluster."""
    return f"http://{owner.name}.{owner.namespace}.svc/v1"


def resolve_name(owner: Owner, uri: str, attempt: int) -> str:
    """Name of a Job that reads what a folder holds."""
    return owner.child(f"r{hashlib.sha256(uri.encode()).hexdigest()[:8]}", attempt)


def resolve_config(owner: Owner, uri: str, attempt: int) -> Manifest:
    """What the resolve Job reads."""
    name = resolve_name(owner, uri, attempt)
    folder = ServeSpec(models=[ServeModel(name=RESOLVE, path=_mounted(uri))])
    artifact = ArtifactStatus(uri=uri, digest="", kind="model")
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": owner.metadata(name, stage=RESOLVE), "immutable": True,
            "data": {SERVE_KEY: json.dumps(folder.model_copy(update={"artifact": artifact}).to_wire(), sort_keys=True)}}


def resolve_job(
    owner: Owner, uri: str, attempt: int, spec: ModelDeploymentSpec, settings: PodSettings,
) -> Manifest:
    """A short Job that reads what a folder holds."""
    labels = {"stage": RESOLVE, "attempt": str(attempt)}
    name, place = resolve_name(owner, uri, attempt), parse_claim(uri)
    mounts = [*([pod.claim(place.claim)] if place else []), _serve_mount(name)]
    main = pod.container(RESOLVE, settings.engine_image(spec.engine.type), _command("resolve"), SMALL, mounts, settings)
    pod_spec = pod.spec([main], mounts, settings, spec.scheduling, select_node=False)
    pod_spec["restartPolicy"] = "Never"
    return pod.one_shot(owner, name, pod.template(owner, pod_spec, **labels), main=RESOLVE, labels=labels)


def _command(verb: str) -> list[str]:
    return ["python", "-m", "anneal_server", verb, "--spec", SERVE_FILE]
