"""Every kind of child that we make, for specs that use every field and for the smallest ones."""

from anneal_api.finetunejob import FineTuneJobSpec
from anneal_api.finetunejob_status import ArtifactStatus
from anneal_api.modeldeployment import ModelDeploymentSpec
from anneal_api.run import Stage
from anneal_operator.desired import run, serving, stage
from anneal_operator.desired.owner import Owner
from anneal_operator.settings import PodSettings
from tests.factories import ARTIFACT, SETTINGS, UID, Object, make_finetunejob, make_modeldeployment

SCHEDULING = {"priorityClassName": "batch", "nodeSelector": {"gpu": "h100"},
              "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]}
RICH = {
    "model": {"uri": "hf://example/model", "revision": "main", "secretRef": {"name": "hf"}},
    "template": {"source": "configMap", "configMapRef": {"name": "templates", "key": "support.jinja"}},
    "evaluation": {"prompts": {"uri": "pvc://prompts/p.jsonl"}}, "method": {"type": "full"},
    "resources": {"gpus": 2, "cpu": "8", "memory": "64Gi"}, "scheduling": SCHEDULING,
    "workspace": {"size": "50Gi", "storageClassName": "fast", "accessMode": "ReadWriteMany"},
}
RICH_SETTINGS = PodSettings("example.com/trainer@sha256:1", "example.com/vllm@sha256:2",
                            "example.com/transformers@sha256:3", "Always", ("pull",), "pods")
RUN = "0a1b2c3d"
REVISION = "1a2b3c4d"


def owner(kind: str) -> Owner:
    return Owner("anneal.dev/v1alpha1", kind, "team", "support", UID)


def fine_tune_job(**spec: object) -> FineTuneJobSpec:
    return FineTuneJobSpec.model_validate(make_finetunejob(**spec)["spec"])


def model_deployment(**spec: object) -> ModelDeploymentSpec:
    return ModelDeploymentSpec.model_validate(make_modeldeployment(**spec)["spec"])


def artifact(**changes: str) -> ArtifactStatus:
    return ArtifactStatus.model_validate({**ARTIFACT, **changes})


def of_run(spec: FineTuneJobSpec, settings: PodSettings) -> dict[str, Object]:
    """The children of a run."""
    who = owner("FineTuneJob")
    jobs = {f"job-{one}": stage.job(who, spec, RUN, one, 0, settings) for one in Stage}
    return {"workspace": run.workspace(who, spec, RUN), "run-config": run.config_map(who, spec, RUN),
            "serve-config": stage.serve_config(who, spec, RUN, 0), **jobs}


def of_deployment(spec: ModelDeploymentSpec, found: ArtifactStatus, settings: PodSettings) -> dict[str, Object]:
    """The children of a ModelDeployment."""
    who = owner("ModelDeployment")
    frozen = serving.config_map(who, spec, found, REVISION, settings)
    return {"revision-config": frozen, "deployment": serving.deployment(frozen, spec.replicas),
            "service": serving.service(who, REVISION), "resolve-config": serving.resolve_config(who, found.uri, 1),
            "resolve-job": serving.resolve_job(who, found.uri, 1, spec, settings)}


CASES: dict[str, dict[str, Object]] = {
    "finetunejob-small": of_run(fine_tune_job(), SETTINGS),
    "finetunejob-rich": of_run(fine_tune_job(**RICH), RICH_SETTINGS),
    "modeldeployment-adapter": of_deployment(model_deployment(), artifact(), SETTINGS),
    "modeldeployment-rich": of_deployment(
        model_deployment(replicas=3, servedName="Support", engine={"maxModelLen": 4096}, scheduling=SCHEDULING,
                         resources={"gpus": 1, "cpu": "4", "memory": "32Gi"}),
        artifact(baseUri="hf://example/model", baseRevision="abc"), RICH_SETTINGS),
}
MANIFESTS = {f"{case}/{name}": manifest for case, found in CASES.items() for name, manifest in found.items()}


def template_of(manifest: Object) -> Object | None:
    """The pod template of a child, if it has one."""
    found: Object | None = manifest["spec"].get("template") if "spec" in manifest else None
    return found
