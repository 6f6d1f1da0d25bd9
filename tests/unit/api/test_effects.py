"""No field is there for show: changing any leaf of a spec changes a child, or a decision that a test here names."""

import copy
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from anneal_api.crd import FINE_TUNE_JOB, MODEL_DEPLOYMENT, Kind, schema
from anneal_api.finetunejob import FineTuneJobSpec
from anneal_api.finetunejob_status import ArtifactStatus
from anneal_api.modeldeployment import ModelDeploymentSpec
from anneal_api.run import Stage
from anneal_generate.reference import leaves
from anneal_operator.decide import finetunejob, modeldeployment
from anneal_operator.decide.facts import Children, Facts, Object
from anneal_operator.decide.plan import Plan
from anneal_operator.desired import run, serving, stage
from anneal_operator.desired.owner import Owner
from anneal_operator.settings import PodSettings

EXAMPLES = Path(__file__).parents[2] / "apiserver" / "api" / "examples" / "good"
OWNER = Owner("anneal.dev/v1alpha1", "FineTuneJob", "default", "support", "0a1b2c3d-0000-0000-0000-000000000000")
PODS = PodSettings(trainer_image="trainer:1", vllm_image="vllm:1", transformers_image="transformers:1")
ARTIFACT = ArtifactStatus(uri="pvc://models/tuned", digest="sha256:1", kind="model")

# Strings with a pattern, and values that must fit to others, cannot be guessed from their type.
VALUES: dict[str, Any] = {
    "model.uri": "hf://other/model", "model.revision": "main", "model.secretRef.name": "other",
    "template.configMapRef.name": "other", "template.configMapRef.key": "other",
    "dataset.uri": "pvc://data/other.jsonl", "dataset.split.validation": 0.1, "dataset.split.test": 0.1,
    "method.lora.dropout": 0.5, "method.lora.targetModules": ["q_proj"], "training.learningRate": 0.5,
    "evaluation.prompts.uri": "pvc://data/other-prompts.jsonl", "output.uri": "pvc://other",
    "resources.cpu": "3", "resources.memory": "1Gi", "scheduling.priorityClassName": "other",
    "scheduling.nodeSelector": {"other": "label"}, "scheduling.tolerations[].key": "other",
    "scheduling.tolerations[].value": "other", "scheduling.tolerations[].tolerationSeconds": 7,
    "workspace.size": "1Gi", "workspace.storageClassName": "other",
    "runId": "other", "servedName": "other", "stallTimeout": "90m",
}
# Leaves that change no child by themselves but what is decided; each has a test of its own below.
DECIDED = {
    "FineTuneJob": {"workspace.retain", "retry.failures", "retry.disruptions", "deadline", "suspend"},
    # The last two: tests/unit/operator/decide/test_rollback.py.
    "ModelDeployment": {"model.fineTuneJobRef.name", "model.digest", "rollout.progressDeadline"},
}
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def spec_of(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((EXAMPLES / name).read_text())["spec"]
    return found


def mutated(spec: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    result = copy.deepcopy(spec)
    *parents, last = path.split(".")
    place = result
    for name in parents:
        place = place[name[:-2]][0] if name.endswith("[]") else place.setdefault(name, {})
    place[last] = value
    return result


def other(path: str, node: dict[str, Any], current: Any) -> Any:
    """A legal value that differs from the current one."""
    if path in VALUES:
        return VALUES[path]
    if "enum" in node:
        return next(value for value in node["enum"] if value != current)
    if node["type"] == "integer":
        return current + 1 if current < node["maximum"] else current - 1
    assert node["type"] == "number", f"VALUES needs an entry for {path}"
    return (node["minimum"] + current) / 2 or 0.25


def current(spec: dict[str, Any], path: str) -> Any:
    place: Any = spec
    for name in path.split("."):
        place = place[name[:-2]][0] if name.endswith("[]") else place.get(name)
        if place is None:
            return None
    return place


def children_of_run(wire: dict[str, Any]) -> str:
    spec = FineTuneJobSpec.model_validate(wire)
    jobs = [stage.job(OWNER, spec, "run", each, 0, PODS) for each in Stage]
    made = [run.config_map(OWNER, spec, "run"), run.workspace(OWNER, spec, "run"),
            stage.serve_config(OWNER, spec, "run", 0), *jobs]
    return json.dumps(made, sort_keys=True)


def children_of_deployment(wire: dict[str, Any]) -> str:
    spec = ModelDeploymentSpec.model_validate(wire)
    artifact = ARTIFACT.model_copy(update={"uri": spec.model.uri})
    frozen = serving.config_map(OWNER, spec, artifact, "revision", PODS)
    return json.dumps([frozen, serving.deployment(frozen, spec.replicas)], sort_keys=True)


def paths(kind: Kind) -> list[Any]:
    found = leaves(schema(kind)["properties"]["spec"])
    return [pytest.param(path, node, id=path) for path, node in found if path not in DECIDED[kind.kind]]


@pytest.mark.parametrize(("path", "node"), paths(FINE_TUNE_JOB))
def test_every_field_of_a_fine_tune_job_has_an_effect(path: str, node: dict[str, Any]) -> None:
    wire = FineTuneJobSpec.model_validate(spec_of("every-field.yaml")).to_wire()
    changed = mutated(wire, path, other(path, node, current(wire, path)))
    assert changed != wire
    assert children_of_run(changed) != children_of_run(wire)


@pytest.mark.parametrize(("path", "node"), paths(MODEL_DEPLOYMENT))
def test_every_field_of_a_model_deployment_has_an_effect(path: str, node: dict[str, Any]) -> None:
    wire = ModelDeploymentSpec.model_validate(spec_of("deployment-every-field.yaml")).to_wire()
    value = "pvc://elsewhere" if path == "model.uri" else other(path, node, current(wire, path))
    changed = mutated(wire, path, value)
    assert changed != wire
    assert children_of_deployment(changed) != children_of_deployment(wire)


def resource(kind: str, wire: dict[str, Any], status: dict[str, Any] | None = None) -> Object:
    metadata = {"name": "support", "namespace": "default", "uid": OWNER.uid, "generation": 1,
                "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"apiVersion": OWNER.api_version, "kind": kind, "metadata": metadata, "spec": wire, "status": status or {}}


def decided(changes: dict[str, Any], *, status: dict[str, Any] | None = None, job_status: dict[str, Any] | None = None,
            after: timedelta = timedelta()) -> Plan:
    """What is decided about a run whose prepare Job exists, in this state."""
    wire = FineTuneJobSpec.model_validate(spec_of("minimal.yaml") | changes).to_wire()
    spec = FineTuneJobSpec.model_validate(wire)
    begun = finetunejob.plan(Facts(resource("FineTuneJob", wire), Children()), NOW, PODS).status
    assert begun is not None
    begun["run"]["startTime"] = "2026-01-01T00:00:00Z"
    name = begun["run"]["id"]
    made = [stage.job(OWNER, spec, name, Stage.PREPARE, 0, PODS), run.workspace(OWNER, spec, name),
            run.config_map(OWNER, spec, name)]
    job, claim, frozen = ({**child, "metadata": {**child["metadata"], "uid": kind}} for kind, child in
                          zip(("job", "claim", "frozen"), made, strict=True))
    children = Children(jobs=({**job, "status": job_status or {"active": 1}},), claims=(claim,), config_maps=(frozen,))
    current_status = merged(begun, status or {})
    return finetunejob.plan(Facts(resource("FineTuneJob", wire, current_status), children), NOW + after, PODS)


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in changes.items():
        result[key] = merged(result[key], value) if isinstance(value, dict) and key in result else value
    return result


def run_state(plan: Plan) -> str:
    assert plan.status is not None
    return str(plan.status["run"]["state"])


def ready_reason(plan: Plan) -> str:
    assert plan.status is not None
    return str(next(c["reason"] for c in plan.status["conditions"] if c["type"] == "Ready"))


FAILED = {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded",
                          "lastTransitionTime": "2026-01-01T00:00:00Z"}]}


def test_deadline_ends_the_run() -> None:
    assert ready_reason(decided({"deadline": "1h"}, after=timedelta(hours=2))) == "DeadlineExceeded"
    assert run_state(decided({"deadline": "3h"}, after=timedelta(hours=2))) == "Running"


def test_suspend_gives_the_running_attempt_up() -> None:
    def attempt(plan: Plan) -> int:
        assert plan.status is not None
        return int(plan.status["stages"][0]["attempt"])

    assert attempt(decided({"suspend": False})) == 0
    assert attempt(decided({"suspend": True})) == 1


def test_retry_failures_decides_whether_there_is_another_attempt() -> None:
    later = timedelta(minutes=5)
    assert run_state(decided({"retry": {"failures": 0}}, job_status=FAILED, after=later)) == "Failed"
    assert run_state(decided({"retry": {"failures": 1}}, job_status=FAILED, after=later)) == "Running"


def test_retry_disruptions_decides_how_many_are_survived() -> None:
    lost = {"stages": [{"name": "prepare", "state": "Running", "disruptions": 2}, *(
        {"name": str(each), "state": "Pending"} for each in list(Stage)[1:])]}
    assert ready_reason(decided({"retry": {"disruptions": 1}}, status=lost)) == "TooManyDisruptions"
    assert run_state(decided({"retry": {"disruptions": 2}}, status=lost)) == "Running"


@pytest.mark.parametrize(("retain", "state", "kept"), [
    ("Always", "Succeeded", True), ("Always", "Failed", True), ("OnFailure", "Succeeded", False),
    ("OnFailure", "Failed", True), ("Never", "Succeeded", False), ("Never", "Failed", False)])
def test_retain_decides_about_the_workspace(retain: str, state: str, kept: bool) -> None:
    # The run ended with publish, well or not.
    stages = [{"name": str(each), "state": "Succeeded"} for each in Stage]
    stages[-1]["state"] = state
    well = state == "Succeeded"
    end = {"type": "Published", "status": str(well), "reason": "Published" if well else "DiskFull",
           "lastTransitionTime": "2026-01-01T00:00:00Z"}
    over = {"run": {"state": state}, "stages": stages, "conditions": [end]}
    plan = decided({"workspace": {"retain": retain}}, status=over)
    assert ("PersistentVolumeClaim" not in {delete.kind for delete in plan.deletes}) == kept


def test_fine_tune_job_ref_names_the_job_that_is_read() -> None:
    wire = spec_of("deployment-of-a-job.yaml")
    asked = modeldeployment.needs(resource("ModelDeployment", wire), Children(), NOW)
    assert asked.fine_tune_job == wire["model"]["fineTuneJobRef"]["name"]


def test_every_exception_is_a_field() -> None:
    for kind in (FINE_TUNE_JOB, MODEL_DEPLOYMENT):
        assert {path for path, _ in leaves(schema(kind)["properties"]["spec"])} >= DECIDED[kind.kind]
