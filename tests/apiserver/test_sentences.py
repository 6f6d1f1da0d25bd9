"""Real sentences of a real cluster, each turned into its Reason and its fix: quota, policies, webhooks, volumes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.rig.api import PATHS, Api, Object, condition
from tests.rig.operator import Operator
from tests.rig.player import Player
from tests.rig.world import claim_of, finetunejob

pytestmark = pytest.mark.apiserver

PATHS |= {
    "LimitRange": "/api/v1/namespaces/{ns}/limitranges",
    "ValidatingAdmissionPolicy": "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
    "ValidatingWebhookConfiguration": "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
}
PATIENCE = 90.0
"""Seconds: a claim that nobody has complained about may take one minute, and is looked at every ten seconds."""


def quota(**hard: str) -> Object:
    hard = {name.replace("_", "/").replace("DOT", "."): amount for name, amount in hard.items()}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "tight"}, "spec": {"hard": hard}}


def limits() -> Object:
    return {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"}, "spec": {
        "limits": [{"type": "Container", "max": {"memory": "64Mi"}}]}}


def only(namespace: str) -> Object:
    return {"matchLabels": {"kubernetes.io/metadata.name": namespace}}


def policy(namespace: str) -> list[Object]:
    group = "admissionregistration.k8s.io/v1"
    rules = [{"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["jobs"]}]
    name, refusal = "no-jobs.example.com", {"expression": "false", "message": "not here"}
    return [
        {"apiVersion": group, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
         "spec": {"matchConstraints": {"resourceRules": rules}, "validations": [refusal]}},
        {"apiVersion": group, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
         "spec": {"policyName": name, "validationActions": ["Deny"],
                  "matchResources": {"namespaceSelector": only(namespace)}}}]


def webhook(namespace: str, resource: str, group: str) -> Object:
    """One that nobody answers for."""
    name = f"{resource}.silent.example.com"
    return {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": name}, "webhooks": [{
                "name": name, "failurePolicy": "Fail", "sideEffects": "None", "admissionReviewVersions": ["v1"],
                "timeoutSeconds": 1, "namespaceSelector": only(namespace), "clientConfig": {"url": "https://127.0.0.1:1/x"},
                "rules": [{"apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE"],
                           "resources": [resource]}]}]}


@dataclass(frozen=True)
class Case:
    """What is in the way in a namespace of its own, what the spec asks for, and what the status must say."""

    reason: str
    says: str
    fix: str
    spec: dict[str, Any] = field(default_factory=dict)
    obstacles: Callable[[str], list[Object]] = lambda namespace: []


CASES = {
    "quota-of-jobs": Case("QuotaExceeded", "exceeded quota: tight", "kubectl describe quota tight",
                          obstacles=lambda _: [quota(count_jobsDOTbatch="0")]),
    "quota-of-pods": Case("QuotaExceeded", "exceeded quota: tight", "kubectl describe quota tight",
                          obstacles=lambda _: [quota(pods="0")]),
    "limit-range": Case("PodRejected", "maximum memory usage per Container is 64Mi", "LimitRange of the namespace",
                        obstacles=lambda _: [limits()]),
    "policy": Case("PodRejected", "not here", "the policy no-jobs.example.com", obstacles=policy),
    "webhook-of-jobs": Case("WebhookUnavailable", "jobs.silent.example.com", "behind webhook jobs.silent.example.com",
                            obstacles=lambda space: [webhook(space, "jobs", "batch")]),
    "webhook-of-pods": Case("WebhookUnavailable", "pods.silent.example.com", "behind webhook pods.silent.example.com",
                            obstacles=lambda space: [webhook(space, "pods", "")]),
    "priority-class": Case("PodRejected", "no PriorityClass with name nope", "Create the PriorityClass nope",
                           {"scheduling": {"priorityClassName": "nope"}, "evaluation": {}}),
    "storage-class": Case("VolumeNotReady", '"nope" not found', "Create the StorageClass nope",
                          {"workspace": {"storageClassName": "nope"}}),
    "no-storage-class": Case("VolumeNotReady", "no storage class is set", "make one of the cluster's the default"),
    "claim": Case("ClaimNotFound", "'nope'", "Create the claim", {"dataset": {"uri": "pvc://nope/rows.jsonl"}}),
}


@pytest.fixture
async def spaces(kubeconfig: Path, api: Api, tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """A namespace for each case with what is in the way in it, one node, and one operator for all of them."""
    names = {case: f"said-{case}" for case in CASES}
    made: list[Object] = []
    for case, namespace in names.items():
        await api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        for claim in ("models", "data"):
            await api.create(claim_of(claim), namespace)
        made += [await api.create(obstacle, namespace) for obstacle in CASES[case].obstacles(namespace)]
    operator = Operator(kubeconfig, tmp_path / "log", ANNEAL_NAMESPACE=names["claim"],
                        ANNEAL_WATCH_NAMESPACES=",".join(names.values()))
    async with Player(api, (), nodes=1).playing():
        operator.start()
        yield names
        operator.kill()
    for obj in made:
        await api.delete(obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
    for namespace in names.values():
        await api.delete("Namespace", "", namespace)


async def test_what_the_cluster_says_is_told_with_its_reason_and_fix(api: Api, spaces: dict[str, str]) -> None:
    for case, namespace in spaces.items():
        await api.create(finetunejob("run", **CASES[case].spec), namespace)
    wrong = [text for text in await asyncio.gather(*(
        told(api, CASES[case], namespace) for case, namespace in spaces.items())) if text]
    assert wrong == []


async def told(api: Api, case: Case, namespace: str) -> str:
    """What is wrong with what the status says; empty when nothing is."""
    def holds(resource: Object) -> bool:
        ready = condition(resource, "Ready")
        message, _, fix = ready.get("message", "").partition("Fix: ")
        return (ready.get("reason"), case.says in message, case.fix in fix) == (case.reason, True, True)

    try:
        resource = await api.until("FineTuneJob", namespace, "run", holds, timeout=PATIENCE)
    except TimeoutError:
        seen = condition(await api.get("FineTuneJob", namespace, "run"), "Ready")
        return f"{namespace}: {seen.get('reason')}: {seen.get('message')}"
    reconciling = condition(resource, "Reconciling").get("status")
    return "" if reconciling == "True" else f"{namespace}: it must go on by itself, and Reconciling is {reconciling}"
