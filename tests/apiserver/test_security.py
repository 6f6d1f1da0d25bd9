"""The lines of docs/security.md that a real API server shows; the number in a name is the line's."""

import asyncio
import base64
import json
import os
import sys
import tarfile
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest

from tests.rig.api import Api, ApiError, Object
from tests.rig.player import End, default_script
from tests.rig.world import CHILD_KINDS, World, finetunejob, modeldeployment

pytestmark = pytest.mark.apiserver

_numbers = count()
CANARY = "hf_" + "c4N4rY" * 5
RESTRICTED = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
FROM_HUB = {"model": {"uri": "hf://owner/name", "secretRef": {"name": "hf"}}}


def script(pod: Object) -> End:
    """A library that prints its token, in the pods of `leaky`."""
    if pod["metadata"]["labels"].get("anneal.dev/name") == "leaky":
        return End(1, json.dumps({"message": f"401 for https://user:{CANARY}@hub with Authorization: Bearer {CANARY}"}))
    return default_script(pod)


@pytest.fixture
async def world(kubeconfig: Path, tmp_path: Path) -> AsyncIterator[World]:
    """A namespace that enforces *restricted*, holds a Secret, and is served by the real operator."""
    made = World(kubeconfig, f"safe-{next(_numbers)}", tmp_path, secrets=(CANARY,))
    made.player.nodes, made.player.script = 1, script
    async with made:
        await made.api.patch("Namespace", "", made.namespace, RESTRICTED)
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hf"}, "stringData": {"token": CANARY}}
        await made.api.create(secret, made.namespace)
        made.operator.start()
        yield made


async def published(world: World) -> None:
    """A whole run, and a server of what it published."""
    await world.api.create(finetunejob("run", **FROM_HUB), world.namespace)
    await world.until("FineTuneJob", "run", "True", "Published")
    await world.api.create(modeldeployment("run", model={"fineTuneJobRef": {"name": "run"}}), world.namespace)
    await world.until("ModelDeployment", "run", "True", "Serving")


async def test_01_39_every_pod_is_admitted_where_restricted_is_enforced_and_every_write_is_signed(world: World) -> None:
    plain = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "plain"}, "spec": {
        "containers": [{"name": "c", "image": "example.com/c:1"}]}}
    with pytest.raises(ApiError, match="violates PodSecurity"):
        await world.api.create(plain, world.namespace)
    await published(world)
    signed = set()
    for kind in ("FineTuneJob", "ModelDeployment", *CHILD_KINDS):
        for obj in await world.api.list(kind, world.namespace, "app.kubernetes.io/managed-by=anneal"):
            makers = {entry["manager"] for entry in obj["metadata"]["managedFields"]}
            assert "anneal" in makers, f"{kind} {obj['metadata']['name']}: {makers}"
            signed.add(kind)
    assert {"Job", "ConfigMap", "Deployment", "Service"} <= signed
    status = await world.api.get("FineTuneJob", world.namespace, "run")
    writers = {e["manager"] for e in status["metadata"]["managedFields"] if e.get("subresource") == "status"}
    assert writers == {"anneal"}


async def test_30_a_secret_reaches_no_object_no_event_no_log_and_no_bundle(world: World, kubeconfig: Path) -> None:
    await published(world)
    await world.api.create(finetunejob("leaky", **FROM_HUB, retry={"failures": 0}), world.namespace)
    failed = await world.until("FineTuneJob", "leaky", "False", "Crashed")
    assert "[redacted]" in json.dumps(failed["status"]), "the pod did repeat it"
    for form in (CANARY, base64.b64encode(CANARY.encode()).decode()):
        for kind in ("FineTuneJob", "ModelDeployment", *CHILD_KINDS, "Event"):
            assert form not in json.dumps(await world.api.list(kind, world.namespace)), kind
        pods = await world.api.list("Pod", world.namespace)
        assert form not in json.dumps([pod["spec"] for pod in pods])
        assert form not in world.operator.text()
    assert [text for text in world.invariants.violations if text.startswith("I7")] == []
    assert CANARY not in await bundle(world, kubeconfig, "leaky")


async def bundle(world: World, kubeconfig: Path, name: str) -> str:
    """Everything that `anneal report` puts into its file."""
    path = world.folder / "bundle.tar.gz"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "anneal_cli", "report", name, "-n", world.namespace, "-f", str(path),
        env={**os.environ, "KUBECONFIG": str(kubeconfig)}, stderr=asyncio.subprocess.PIPE)
    _, notes = await process.communicate()
    assert process.returncode == 0, notes.decode()
    with tarfile.open(path) as archive:
        files = [archive.extractfile(member) for member in archive.getmembers()]
        texts = [file.read().decode() for file in files if file]
    assert any("termination" in text or "terminated" in text for text in texts), "the pods are in it"
    return "\n".join(texts)


async def test_10_who_may_only_make_our_resources_gets_no_more_by_them(api: Api, world: World) -> None:
    """The ways out of a namespace that a spec could offer are no fields, and the API server says so."""
    for field, value in {
        "model": {"uri": "hf://owner/name", "secretRef": {"name": "hf", "namespace": "kube-system"}},
        "scheduling": {"serviceAccountName": "admin"}, "image": "evil", "volumes": [{"hostPath": {"path": "/"}}],
    }.items():
        with pytest.raises(ApiError, match="unknown field"):
            await api.create(finetunejob("way-out", **{field: value}), world.namespace)
