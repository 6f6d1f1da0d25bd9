"""Waiting for pods by watches, so that the stopwatch adds nothing of its own."""

from collections.abc import Callable
from contextlib import aclosing
from datetime import datetime

from anneal_api.run import parse_progress
from tests.rig.api import Api, Object, path_of

STARTED = ("Running", "Succeeded", "Failed")


async def pod_that(api: Api, namespace: str, selector: str, true: Callable[[Object], bool]) -> Object:
    """The first pod with these labels of which it holds."""
    while True:
        listed = await api.call("GET", path_of("Pod", namespace), labelSelector=selector)
        for pod in listed["items"]:
            if true(pod):
                return dict(pod)
        version = listed["metadata"]["resourceVersion"]
        events = api.watch(path_of("Pod", namespace), version, labelSelector=selector, timeoutSeconds="120")
        async with aclosing(events) as changes:
            async for change in changes:
                if change["type"] in ("ADDED", "MODIFIED") and true(change["object"]):
                    return dict(change["object"])


def started(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") in STARTED


def ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


async def no_pods(api: Api, namespace: str, selector: str) -> None:
    """Returns when the last pod with these labels is gone."""
    for pod in await api.list("Pod", namespace, selector):
        uid, name = pod["metadata"]["uid"], pod["metadata"]["name"]
        await api.until("Pod", namespace, name, lambda found, uid=uid: found.get("metadata", {}).get("uid") != uid, 180)


async def first_step(api: Api, namespace: str, selector: str) -> float:
    """When the trainer wrote its first line of progress, by the node's clock."""
    pod = await pod_that(api, namespace, selector, started)
    path = f"{path_of('Pod', namespace, pod['metadata']['name'])}/log"
    async with api.stream(path, params={"follow": "true", "timestamps": "true", "container": "trainer"}) as log:
        async for line in log.content:
            stamp, _, text = line.decode().partition(" ")
            if (progress := parse_progress(text)) and progress.step >= 1:
                return datetime.fromisoformat(stamp).timestamp()
    raise RuntimeError(f"pod {pod['metadata']['name']} ended before its first step; see its log")
