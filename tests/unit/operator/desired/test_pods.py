"""Every pod passes Pod Security *restricted*, holds no token, and reaches only what its stage needs."""

import json
from typing import Any

import pytest

from anneal_api.pod import Scheduling
from anneal_api.run import RunSpec, Stage
from anneal_operator.desired import pod as pods
from anneal_operator.desired import run, serving
from anneal_operator.desired import stage as stages
from anneal_operator.desired.owner import Owner
from anneal_operator.desired.pod import GPU
from anneal_server import probe
from tests.factories import SETTINGS, UID
from tests.unit.operator.desired.rendered import (
    CASES,
    MANIFESTS,
    Object,
    fine_tune_job,
    template_of,
)

PODS = {name: template["spec"] for name, manifest in MANIFESTS.items() if (template := template_of(manifest))}
RESTRICTED_VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "secret", "projected", "downwardAPI", "csi",
                      "ephemeral"}


def containers(pod: Object) -> list[Object]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def volume(pod: Object, name: str) -> Object:
    found: Object = next(v for v in pod["volumes"] if v["name"] == name)
    return found


def mounts(pod: Object, container: int = 0) -> dict[str, Object]:
    return {mount["mountPath"]: mount for mount in pod["containers"][container]["volumeMounts"]}


@pytest.fixture(params=PODS, ids=str)
def pod(request: pytest.FixtureRequest) -> Object:
    found: Object = PODS[request.param]
    return found


def test_the_pod_is_restricted(pod: Object) -> None:
    context = pod["securityContext"]
    assert (context["runAsNonRoot"], context["runAsUser"]) == (True, 10001)
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        assert key not in pod
    for one in pod["volumes"]:
        assert set(one) - {"name"} <= RESTRICTED_VOLUMES


def test_every_container_is_restricted(pod: Object) -> None:
    for container in containers(pod):
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"] is True
        assert not {"privileged", "runAsUser", "procMount"} & set(context)
        assert "hostPort" not in json.dumps(container)


def test_no_pod_holds_a_token_or_knows_other_services(pod: Object) -> None:
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert not any("projected" in one for one in pod["volumes"])


def test_every_container_can_write_where_libraries_expect_it(pod: Object) -> None:
    for container in containers(pod):
        writable = {m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")}
        assert {"/tmp", "/var/cache/anneal", "/dev/shm"} <= writable
        assert {"name": "HOME", "value": "/tmp"} in container["env"]


def test_what_is_asked_for_is_what_there_is(pod: Object) -> None:
    for container in containers(pod):
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert {"cpu", "memory"} <= set(container["resources"]["limits"])


def test_every_mount_has_its_volume_and_every_volume_its_mount(pod: Object) -> None:
    used = {mount["name"] for container in containers(pod) for mount in container["volumeMounts"]}
    assert used == {one["name"] for one in pod["volumes"]}


def stage_pod(case: str, one: Stage) -> Object:
    found: Object = CASES[case][f"job-{one}"]["spec"]["template"]["spec"]
    return found


def test_only_prepare_holds_the_secret_and_it_is_not_optional() -> None:
    for stage in Stage:
        secrets = [one["secret"] for one in stage_pod("finetunejob-rich", stage)["volumes"] if "secret" in one]
        wanted = [{"secretName": "hf", "optional": False, "defaultMode": 0o440,
                   "items": [{"key": "token", "path": "token"}]}]
        assert secrets == (wanted if stage is Stage.PREPARE else [])


@pytest.mark.parametrize(("stage", "paths"), [
    (Stage.PREPARE, {"/mnt/pvc/models": False, "/mnt/pvc/data": True}), (Stage.TRAIN, {"/mnt/pvc/models": True}),
    (Stage.EVALUATE, {"/mnt/pvc/models": True}), (Stage.PUBLISH, {"/mnt/pvc/models": False})])
def test_claims_are_read_only_where_nothing_is_written(stage: Stage, paths: dict[str, bool]) -> None:
    found = mounts(stage_pod("finetunejob-small", stage))
    assert {path: bool(m.get("readOnly")) for path, m in found.items() if path.startswith("/mnt/pvc")} == paths


def test_only_train_and_evaluate_ask_for_gpus_and_choose_nodes() -> None:
    for stage in Stage:
        pod = stage_pod("finetunejob-rich", stage)
        gpus = [c["resources"]["limits"].get(GPU) for c in containers(pod) if GPU in c["resources"]["limits"]]
        heavy = stage in (Stage.TRAIN, Stage.EVALUATE)
        assert (gpus, "nodeSelector" in pod) == ((["2"] if heavy else []), heavy)
        assert pod["tolerations"][0] == {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}


def lost_nodes(*tolerations: Object) -> dict[str, int]:
    """Key of a lost node's taint -> seconds that a pod of ours waits for it, beside what the user tolerates."""
    scheduling = Scheduling.model_validate({"tolerations": list(tolerations)})
    made = pods.spec([], [], SETTINGS, scheduling)["tolerations"][len(tolerations):]
    return {one["key"].partition("/")[2]: one["tolerationSeconds"] for one in made}


def test_a_lost_node_is_waited_for_30_seconds_unless_the_user_says_otherwise() -> None:
    assert lost_nodes() == {"not-ready": 30, "unreachable": 30}
    assert lost_nodes({"key": "gpu", "operator": "Exists", "effect": "NoExecute"}) == lost_nodes()
    own = {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute",
           "tolerationSeconds": 600}
    assert lost_nodes(own) == {"not-ready": 30}
    assert lost_nodes({"operator": "Exists"}) == {}
    assert lost_nodes({"operator": "Exists", "effect": "NoSchedule"}) == lost_nodes()


def test_train_has_time_to_save_a_checkpoint() -> None:
    assert stage_pod("finetunejob-small", Stage.TRAIN)["terminationGracePeriodSeconds"] == 120


def test_the_engine_is_a_sidecar_and_the_pod_asks_for_no_more_than_train() -> None:
    pod = stage_pod("finetunejob-rich", Stage.EVALUATE)
    (engine,) = pod["initContainers"]
    assert engine["restartPolicy"] == "Always"
    seen = [mount for mount in engine["volumeMounts"] if mount["mountPath"].startswith(("/mnt", "/workspace"))]
    assert {mount["mountPath"]: mount["readOnly"] for mount in seen} == {"/workspace": True, "/mnt/pvc/prompts": True}
    limits = [one["resources"]["limits"] for one in containers(pod)]
    assert [one["cpu"] for one in limits] == ["7900m", "100m"]
    assert [one["memory"] for one in limits] == ["65024Mi", "512Mi"]


def test_the_engine_serves_the_candidate_beside_its_base() -> None:
    adapter = json.loads(CASES["finetunejob-small"]["serve-config"]["data"]["serve.json"])
    assert [(m["name"], m["path"]) for m in adapter["models"]] == [("base", "/mnt/pvc/models/base")]
    assert [(m["name"], m["path"]) for m in adapter["adapters"]] == [("tuned", "/workspace/candidate")]
    full = json.loads(CASES["finetunejob-rich"]["serve-config"]["data"]["serve.json"])
    assert [(m["name"], m["path"]) for m in full["models"]] == [
        ("base", "/workspace/model"), ("tuned", "/workspace/candidate")]
    assert full["adapters"] == []
    assert full["maxModelLen"] == 2048 + 128


def test_a_job_is_one_attempt_and_survives_eviction() -> None:
    for manifest in MANIFESTS.values():
        if manifest["kind"] != "Job":
            continue
        spec = manifest["spec"]
        assert (spec["backoffLimit"], spec["podReplacementPolicy"]) == (0, "Failed")
        assert [rule["action"] for rule in spec["podFailurePolicy"]["rules"]] == ["Ignore", "Ignore"]
        assert spec["template"]["spec"]["restartPolicy"] == "Never"
        assert "ttlSecondsAfterFinished" not in spec


def test_a_server_answers_before_it_gets_traffic() -> None:
    server: dict[str, Any] = CASES["modeldeployment-adapter"]["deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert server["startupProbe"]["exec"]["command"][:4] == ["python", "-S", "-m", "anneal_server.probe"]
    assert server["startupProbe"]["timeoutSeconds"] > probe.WAIT_SECONDS == serving.PROBE_SECONDS
    assert serving.PROBE_SECONDS * server["startupProbe"]["failureThreshold"] == 1200
    assert server["readinessProbe"]["httpGet"]["path"] == "/health"


def test_inside_a_revision_nothing_surges() -> None:
    strategy = CASES["modeldeployment-adapter"]["deployment"]["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


def test_names_fit_for_the_longest_resource_and_many_attempts() -> None:
    who = Owner("anneal.dev/v1alpha1", "FineTuneJob", "team", "n" * 40, "0f8fad5b-d9cb-469f-a165-70867728950e")
    names = [*(stages.job_name(who, one, 999) for one in Stage), run.workspace_name(who, "0a1b2c3d"),
             run.config_map_name(who, "0a1b2c3d"), stages.serve_config_name(who, 999),
             serving.revision_name(who, "0a1b2c3d"), serving.resolve_name(who, "pvc://models/x", 999)]
    assert max(map(len, names)) <= 63
    assert len(set(names)) == len(names)


def test_the_run_is_frozen_with_its_defaults() -> None:
    config = CASES["finetunejob-small"]["run-config"]
    frozen = RunSpec.model_validate_json(config["data"]["run.json"])
    spec = fine_tune_job()
    assert (frozen.training, frozen.dataset, frozen.uid) == (spec.training, spec.dataset, UID)
    assert config["immutable"] is True


def test_the_id_of_a_run_depends_on_what_shapes_the_result_and_on_nothing_else() -> None:
    first = run.run_id(fine_tune_job(), 1)
    assert run.run_id(fine_tune_job(training={"epochs": 3}, deadline="1h", suspend=True), 1) == first
    assert run.run_id(fine_tune_job(training={"epochs": 4}), 1) != first
    assert run.run_id(fine_tune_job(runId="again"), 1) != first
    assert run.run_id(fine_tune_job(), 2) != first
