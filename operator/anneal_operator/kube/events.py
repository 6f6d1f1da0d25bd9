"""The recorder: at most one Event object for each thing said about a resource; saying it again raises its count."""

import hashlib
import logging
from datetime import datetime

from anneal_api.conditions import timestamp
from anneal_operator.decide.facts import Object
from anneal_operator.decide.plan import Event
from anneal_operator.kube.client import KubeClient
from anneal_operator.kube.errors import Conflict, KubeError
from anneal_operator.kube.kinds import EVENT, meta

COMPONENT = "anneal"
MAX_MESSAGE = 1000

log = logging.getLogger(__name__)


class Recorder:
    """Writes Events. One that cannot be written is only logged: conditions are the API, Events are for people."""

    def __init__(self, client: KubeClient, instance: str) -> None:
        self._client = client
        self._instance = instance

    async def record(self, resource: Object, event: Event, now: datetime) -> None:
        """Write this Event about the resource."""
        log.info("%s: %s", event.reason, event.message)
        try:
            await self._write(_manifest(resource, event, now, self._instance), timestamp(now))
        except KubeError as error:
            log.warning("event %s was not recorded: %s", event.reason, error)

    async def _write(self, manifest: Object, now: str) -> None:
        try:
            await self._client.create(EVENT, manifest)
        except Conflict:
            # The name is a hash of what is said, so this is the same Event, also after a restart.
            namespace, name = meta(manifest)["namespace"], meta(manifest)["name"]
            count = int((await self._client.get(EVENT, namespace, name)).get("count") or 1)
            await self._client.patch_event(namespace, name, {"count": count + 1, "lastTimestamp": now})


def _manifest(resource: Object, event: Event, now: datetime, instance: str) -> Object:
    about = meta(resource)
    message = event.message.encode()[:MAX_MESSAGE].decode(errors="ignore")
    digest = hashlib.sha256("\0".join([about["uid"], event.type, event.reason, message]).encode()).hexdigest()
    return {
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": f"{about['name']}.{digest[:16]}", "namespace": about["namespace"]},
        "involvedObject": {
            "apiVersion": resource["apiVersion"], "kind": resource["kind"], "namespace": about["namespace"],
            "name": about["name"], "uid": about["uid"], "resourceVersion": about["resourceVersion"],
        },
        "type": event.type, "reason": event.reason, "message": message, "count": 1,
        "firstTimestamp": timestamp(now), "lastTimestamp": timestamp(now),
        "source": {"component": COMPONENT}, "reportingComponent": COMPONENT, "reportingInstance": instance,
    }
