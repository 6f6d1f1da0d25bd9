"""The API server refuses, or somebody else is in the way: one reason in status, and the run goes on by itself."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from tests.rig.api import condition
from tests.rig.lives import serve, train
from tests.rig.proxy import Write, refusal
from tests.rig.world import World, finetunejob, modeldeployment

ROOT = Path(__file__).parents[2]
RIGHTS = ("anneal-system-anneal", "anneal-lease")
AnyHook = Callable[[web.Request], Awaitable[web.StreamResponse | None]]

pytestmark = pytest.mark.apiserver


async def test_conflicts_on_every_second_write_are_retried(world: World) -> None:
    """F9."""

    async def conflict(write: Write) -> web.StreamResponse | None:
        return refusal(409, "Conflict") if write.number % 2 == 0 and write.method != "POST" else None

    world.proxy.before.append(conflict)
    await world.api.create(finetunejob("run"), world.namespace)
    await world.until("FineTuneJob", "run", "True", "Published", 60)
    assert any(write.status == 409 for write in world.proxy.writes)


FORBIDDEN = {
    "QuotaExceeded": "exceeded quota: team, requested: count/jobs.batch=1, used: count/jobs.batch=2, limited: 2",
    "PodRejected": "admission webhook denied the request",
}


@pytest.mark.parametrize("reason", FORBIDDEN)
async def test_a_refused_job_is_explained_and_made_once_it_is_allowed(world: World, reason: str) -> None:
    """F26: one 403 has several causes; none of them ends the run."""

    async def forbid(write: Write) -> web.StreamResponse | None:
        wanted = (write.method, write.resource) == ("POST", "jobs")
        return refusal(403, "Forbidden", message=FORBIDDEN[reason]) if wanted else None

    world.proxy.before.append(forbid)
    await world.api.create(finetunejob("run"), world.namespace)
    await world.until("FineTuneJob", "run", "False", reason, 30)
    world.proxy.before.remove(forbid)
    await world.until("FineTuneJob", "run", "True", "Published", 90)


async def test_a_restart_with_everything_settled_writes_nothing(world: World) -> None:
    """I8: what is settled stays untouched; a run made afterwards proves that the new operator was at work."""
    await world.api.create(finetunejob("settled"), world.namespace)
    await world.until("FineTuneJob", "settled", "True", "Published", 60)
    await world.gone("PersistentVolumeClaim", "anneal.dev/name=settled")
    world.operator.kill()
    before = len(world.proxy.writes)
    world.operator.start()
    await world.api.create(finetunejob("later", output={"uri": "pvc://models/later"}), world.namespace)
    await world.until("FineTuneJob", "later", "True", "Published", 60)
    late = [str(write) for write in world.proxy.writes[before:] if "settled" in f"{write.path} {write.body}"]
    assert late == []


LIMIT_SECONDS = 60


async def test_a_quota_is_named_and_the_run_goes_on_when_it_is_freed(world: World) -> None:
    """F26: a real ResourceQuota."""
    spec = {"hard": {"count/jobs.batch": "0"}}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "team"}, "spec": spec}
    await world.api.create(quota, world.namespace)
    await world.api.until("ResourceQuota", world.namespace, "team", lambda found: "used" in found.get("status", {}))
    await world.api.create(finetunejob("run"), world.namespace)
    said = await world.until("FineTuneJob", "run", "False", "QuotaExceeded", 30)
    assert "exceeded quota: team" in str(said["status"]["conditions"])
    await world.api.delete("ResourceQuota", world.namespace, "team")
    await world.until("FineTuneJob", "run", "True", "Published", LIMIT_SECONDS)


async def test_a_limit_range_that_refuses_our_pods_is_named(world: World) -> None:
    """F26: a real LimitRange; the Job controller is refused, so only its Events tell."""
    limits = [{"type": "Container", "max": {"memory": "1Mi"}, "default": {"memory": "1Mi"}}]
    limit = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"}, "spec": {"limits": limits}}
    await world.api.create(limit, world.namespace)
    await world.api.create(finetunejob("run"), world.namespace)
    said = await world.until("FineTuneJob", "run", "False", "PodRejected", 30)
    assert "memory" in str(said["status"]["conditions"])
    await world.api.delete("LimitRange", world.namespace, "small")
    await world.until("FineTuneJob", "run", "True", "Published", LIMIT_SECONDS + 30)


async def test_our_pods_are_admitted_where_pod_security_is_restricted(world: World) -> None:
    """F26: both kinds, from creation to the end."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    await world.api.patch("Namespace", "", world.namespace, {"metadata": {"labels": labels}})
    await world.api.create(modeldeployment("serve"), world.namespace)
    await world.api.create(finetunejob("run"), world.namespace)
    await world.until("FineTuneJob", "run", "True", "Published", 60)
    await world.until("ModelDeployment", "serve", "True", "Serving", 60)


async def test_rights_that_are_taken_away_and_given_back(world: World) -> None:
    """F27: a real RoleBinding is deleted during a run. Nothing fails; work goes on within a minute of the repair."""
    world.may_end = True
    await give_rights(world)
    world.operator.kill()
    world.operator.start()
    await train(world)
    binding = await world.api.get("RoleBinding", world.namespace, "anneal")
    await world.api.delete("RoleBinding", world.namespace, "anneal")
    await world.player.release(world.namespace, "train")
    async with asyncio.timeout(60):
        while "forbidden" not in world.operator.text():
            await asyncio.sleep(0.2)  # its log is all that can be seen of an operator that may not write
    await world.api.create({**binding, "metadata": {"name": "anneal"}}, world.namespace)
    back = time.monotonic()
    published = await world.until("FineTuneJob", "run", "True", "Published", LIMIT_SECONDS + 30)
    assert min(write.at for write in world.proxy.writes if write.at > back) - back < LIMIT_SECONDS
    assert [s["failures"] for s in published["status"]["stages"]] == [0, 0, 0, 0]


async def test_a_right_that_is_missing_is_named(world: World) -> None:
    """F27: the Role of the chart without the right to create Jobs."""
    await give_rights(world)
    world.operator.kill()
    role = await world.api.get("Role", world.namespace, "anneal")
    without = [{**rule, "verbs": [verb for verb in rule["verbs"] if verb != "create"]} if "jobs" in rule["resources"]
               else rule for rule in role["rules"]]
    await world.api.patch("Role", world.namespace, "anneal", {"rules": without})
    world.operator.start()
    await world.api.create(finetunejob("run"), world.namespace)
    said = await world.until("FineTuneJob", "run", "False", "PermissionDenied", 30)
    assert 'cannot create resource "jobs"' in condition(said, "Ready")["message"]
    await world.api.patch("Role", world.namespace, "anneal", {"rules": role["rules"]})
    await world.until("FineTuneJob", "run", "True", "Published", LIMIT_SECONDS)


async def give_rights(world: World) -> None:
    """From now on the operator may do what the chart grants it, and nothing else."""
    rules = [rule for doc in yaml.safe_load_all((ROOT / "manifests" / "rbac" / "rbac.yaml").read_text())
             if doc["kind"] in ("Role", "ClusterRole") and doc["metadata"]["name"] in RIGHTS for rule in doc["rules"]]
    group = "rbac.authorization.k8s.io"
    role = {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": {"name": "anneal"}, "rules": rules}
    account = {"kind": "ServiceAccount", "name": "anneal", "namespace": world.namespace}
    binding = {"apiVersion": f"{group}/v1", "kind": "RoleBinding", "metadata": {"name": "anneal"},
               "roleRef": {"apiGroup": group, "kind": "Role", "name": "anneal"}, "subjects": [account]}
    for manifest in (role, binding):
        await world.api.create(manifest, world.namespace)
    world.proxy.headers["Impersonate-User"] = f"system:serviceaccount:{world.namespace}:anneal"


async def test_a_token_that_is_no_longer_taken(world: World) -> None:
    """F27: every request is answered 401 until the token is right again."""
    world.may_end = True
    await train(world)
    unauthorized = refusal_of_everything(401, "Unauthorized")
    world.proxy.before_any = unauthorized
    world.proxy.cut_watches()
    await world.player.release(world.namespace, "train")
    async with asyncio.timeout(60):
        while "401" not in world.operator.text() and "Unauthorized" not in world.operator.text():
            await asyncio.sleep(0.2)  # its log is all that can be seen
    world.proxy.before_any = None
    back = time.monotonic()
    await world.until("FineTuneJob", "run", "True", "Published", LIMIT_SECONDS + 30)
    assert min(write.at for write in world.proxy.writes if write.at > back) - back < LIMIT_SECONDS


def refusal_of_everything(status: int, reason: str, **headers: str) -> AnyHook:
    async def refuse(_: web.Request) -> web.StreamResponse | None:
        return refusal(status, reason, headers)

    return refuse


async def test_nobody_fights_over_a_child(world: World) -> None:
    """F9: somebody labels and annotates our children again and again; we write nothing, as nothing of ours changed."""
    await serve(world)
    await world.gone("Job", "anneal.dev/stage=resolve")
    (deployment,) = await world.api.list("Deployment", world.namespace, "anneal.dev/revision")
    name, before = deployment["metadata"]["name"], len(world.proxy.writes)
    for number in range(20):
        body = {"metadata": {"annotations": {"somebody": str(number)}, "labels": {"somebody": str(number)}}}
        await world.api.patch("Deployment", world.namespace, name, body)
        await world.api.patch("Service", world.namespace, "serve", body)
    await world.api.create(finetunejob("other"), world.namespace)
    await world.until("FineTuneJob", "other", "True", "Published", 60)
    late = [str(w) for w in world.proxy.writes[before:] if w.resource in ("deployments", "services")]
    assert late == []


async def test_what_another_manager_owns_is_not_taken_by_force(world: World) -> None:
    """F9: an autoscaler sets replicas. We say that we may not, once, and leave them alone."""
    await serve(world)
    (deployment,) = await world.api.list("Deployment", world.namespace, "anneal.dev/revision")
    name = deployment["metadata"]["name"]
    await world.api.patch("Deployment", world.namespace, name, {"spec": {"replicas": 3}})
    said = await world.until("ModelDeployment", "serve", "False", "FieldTaken", 30)
    assert ".spec.replicas" in condition(said, "Ready")["message"]
    await world.api.create(finetunejob("other"), world.namespace)
    await world.until("FineTuneJob", "other", "True", "Published", 60)
    scaled = await world.api.get("Deployment", world.namespace, name)
    assert scaled["spec"]["replicas"] == 3
    assert scaled["metadata"]["generation"] <= deployment["metadata"]["generation"] + 2
