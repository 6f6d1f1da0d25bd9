"""Serving with real pods: the second engine, and revisions that come and go while requests never stop."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from tests.e2e.conftest import CLAIM, modeldeployment
from tests.e2e.test_runs import ready
from tests.rig.api import Api, Object, condition

pytestmark = pytest.mark.e2e

DEMO = "anneal-demo"
SMALL = {"cpu": "500m", "memory": "2Gi"}
QUESTIONS = ("May I return worn boots?", "Where is my parcel?", "Do you repair tents?")
TOKENS = 16
ROUNDING = 0.25
"""How far apart both engines may put the log-probability of a token on average: kernels that add in another order round
another way, and above 32 a bf16 logit knows no smaller step. Measured: at most 0.09; adapter and base 0.48 to 1.9."""
PART_OF_A_CHARACTER = "\ufffd"
"""How one engine spells such a token; the other spells nothing."""


@asynccontextmanager
async def deployed(api: Api, manifest: Object) -> AsyncIterator[None]:
    """A ModelDeployment that is gone with all its pods at the end: the next test counts what is there."""
    made = await api.create(manifest)
    meta = made["metadata"]
    try:
        yield
    finally:
        await api.delete("ModelDeployment", meta["namespace"], meta["name"])
        for pod in await api.list("Pod", meta["namespace"], f"anneal.dev/uid={meta['uid']}"):
            await api.until("Pod", meta["namespace"], pod["metadata"]["name"], lambda found: not found, 90)


async def ask(api: Api, name: str, model: str, question: str) -> Object:
    """A greedy answer with its tokens, through the Service."""
    body = {"model": model, "messages": [{"role": "user", "content": question}], "max_tokens": TOKENS,
            "temperature": 0, "logprobs": True, "top_logprobs": 5, "return_token_ids": True}
    path = f"/api/v1/namespaces/{DEMO}/services/{name}:http/proxy/v1/chat/completions"
    return await api.call("POST", path, body)


def choices(one: Object, other: Object) -> Iterator[tuple[dict[str, float], dict[str, float]]]:
    """The likeliest tokens of both after the same tokens: up to where they choose different ones."""
    (a,), (b,) = one["choices"], other["choices"]
    for left, right in zip(a["logprobs"]["content"], b["logprobs"]["content"], strict=False):
        here, there = ({token["token"].strip(PART_OF_A_CHARACTER): token["logprob"] for token in step["top_logprobs"]}
                       for step in (left, right))
        yield here, there
        if left["token"] != right["token"]:
            return


def distance(one: Object, other: Object) -> float:
    """The mean distance between what both say of a token after the same tokens."""
    return fmean(abs(here[token] - there[token])
                 for here, there in choices(one, other) for token in here.keys() & there.keys())


def near_tie(one: Object, other: Object) -> bool:
    """Is what each chose last among the likeliest of the other?"""
    *_, (here, there) = choices(one, other)
    return {max(here, key=here.__getitem__), max(there, key=there.__getitem__)} <= here.keys() & there.keys()


async def test_one_artifact_answers_alike_on_both_engines(api: Api, space: str) -> None:
    """The demo's adapter and its base, which vLLM serves there, beside the same on transformers."""
    name = "on-transformers"
    on_vllm = await api.get("ModelDeployment", DEMO, "support")
    spec = {"model": {"fineTuneJobRef": {"name": "support"}}, "servedName": "support",
            "engine": {"type": "transformers", "maxModelLen": 1024}, "resources": {"cpu": "1", "memory": "3Gi"}}
    made = {"apiVersion": on_vllm["apiVersion"], "kind": "ModelDeployment", "spec": spec,
            "metadata": {"name": name, "namespace": DEMO}}
    async with deployed(api, made):
        served = await api.until("ModelDeployment", DEMO, name, ready, 240)
        assert served["status"]["stable"]["artifact"] == on_vllm["status"]["stable"]["artifact"]
        listed = await api.call("GET", f"/api/v1/namespaces/{DEMO}/services/{name}:http/proxy/v1/models")
        assert [card["id"] for card in listed["data"]] == ["base", "support"]
        for question in QUESTIONS:
            answers = {}
            for model in ("support", "base"):
                here, there = await ask(api, name, model, question), await ask(api, "support", model, question)
                assert here["prompt_token_ids"] == there["prompt_token_ids"]
                assert distance(here, there) < ROUNDING, f"{model} on {question!r}: {here}, {there}"
                assert near_tie(here, there), f"{model} on {question!r}: {here}, {there}"
                answers[model] = here, there
            assert distance(answers["support"][0], answers["base"][1]) > ROUNDING, "adapter and base would do as one"


class Traffic:
    """What the pod that asks has said so far."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._news = asyncio.Condition()

    async def read(self, api: Api, path: str) -> None:
        async with api.stream(path, params={"follow": "true"}) as answer:
            async for line in answer.content:
                async with self._news:
                    self.lines.append(line.decode().strip())
                    self._news.notify_all()

    async def more(self, count: int) -> None:
        """Wait for so many more answers; not one of all that were asked for may have failed."""
        target = len(self.lines) + count
        async with asyncio.timeout(120), self._news:
            await self._news.wait_for(lambda: len(self.lines) >= target)
        assert [line for line in self.lines if line != "ok"] == []


@asynccontextmanager
async def traffic(api: Api, space: str, image: str, url: str, model: str) -> AsyncIterator[Traffic]:
    """A pod that asks without a pause, and what it says."""
    script = (Path(__file__).parent / "traffic.py").read_text()
    meta = {"name": "traffic", "namespace": space}
    await api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"traffic.py": script}})
    await api.create({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": _asking(image, url, model)})
    await api.until("Pod", space, "traffic", lambda pod: pod.get("status", {}).get("phase") == "Running", 60)
    found = Traffic()
    reading = asyncio.create_task(found.read(api, f"/api/v1/namespaces/{space}/pods/traffic/log"))
    try:
        yield found
    finally:
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
        await api.delete("Pod", space, "traffic", gracePeriodSeconds=0)
        await api.delete("ConfigMap", space, "traffic")


def _asking(image: str, url: str, model: str) -> Object:
    container: dict[str, Any] = {
        "name": "traffic", "image": image, "command": ["python3", "/script/traffic.py", url, model],
        "volumeMounts": [{"name": "script", "mountPath": "/script"}],
        "resources": {"limits": {"cpu": "100m", "memory": "64Mi"}, "requests": {"cpu": "1m"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {"restartPolicy": "Never", "containers": [container], "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
            "volumes": [{"name": "script", "configMap": {"name": "traffic"}}]}


async def test_revisions_come_and_go_and_no_request_fails(api: Api, space: str, images: dict[str, str]) -> None:
    name = "rolling"
    engine = {"type": "transformers", "maxModelLen": 128}
    made = modeldeployment(name, model={"uri": f"pvc://{CLAIM}/tiny"}, engine=engine, resources=SMALL)
    async with deployed(api, made):
        first = await api.until("ModelDeployment", space, name, ready, 180)
        old = first["status"]["stable"]["hash"]
        async with traffic(api, space, images["trainer"], first["status"]["url"], name) as asked:
            await asked.more(5)

            # A new revision takes over.
            await api.patch("ModelDeployment", space, name, {"spec": {"engine": {"maxModelLen": 192}}})
            second = await api.until("ModelDeployment", space, name, lambda r: _serving(r) not in ("", old), 180)
            new = second["status"]["stable"]["hash"]
            await _gone(api, space, old)
            await asked.more(20)

            # A broken one does not: what serves is not touched, and the status says why.
            await api.patch("ModelDeployment", space, name, {"spec": {"resources": {"memory": "64Mi"}}})
            found = await api.until("ModelDeployment", space, name,
                                    lambda r: condition(r, "Ready").get("reason") == "RolledBack", 180)
            failed = found["status"]["failed"]
            assert (failed["reason"], found["status"]["stable"]["hash"]) == ("OOMKilled", new)
            assert "64Mi" in condition(found, "RolledBack")["message"]
            assert condition(found, "Ready")["status"] == "True"
            await _gone(api, space, failed["hash"])
            await asked.more(20)


def _serving(resource: Object) -> str:
    """Hash of the revision that serves, when nothing else goes on."""
    return str(resource["status"]["stable"]["hash"]) if condition(resource, "Ready").get("reason") == "Serving" else ""


async def _gone(api: Api, space: str, revision: str) -> None:
    """Wait for the end of a revision's pods, the time to drain included."""
    for pod in await api.list("Pod", space, f"anneal.dev/revision={revision}"):
        await api.until("Pod", space, pod["metadata"]["name"], lambda found: not found, 90)
    assert await api.list("Deployment", space, f"anneal.dev/revision={revision}") == []
