"""A cluster in memory: objects, scripted watches and logs, and sockets to a local server."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from anneal_cli.cluster import Change, Listing, Params
from anneal_cli.errors import CliError, NotFound
from anneal_cli.kinds import Collection
from anneal_cli.resource import Object

PLURALS = {"FineTuneJob": "finetunejobs", "ModelDeployment": "modeldeployments", "Pod": "pods", "Event": "events",
           "Deployment": "deployments", "PersistentVolumeClaim": "persistentvolumeclaims",
           "StorageClass": "storageclasses",
           "CustomResourceDefinition": "customresourcedefinitions", "Namespace": "namespaces", "Node": "nodes"}
Script = list[Change] | CliError


class FakeCluster:
    """Implements anneal_cli.cluster.Cluster."""

    context = "test"

    def __init__(self, *objects: Object, namespace: str = "default") -> None:
        self.namespace = namespace
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.watches: dict[str, list[Script]] = {}
        """By plural: one script per watch; a watch without one stays silent."""
        self.logs: dict[tuple[str, str], list[list[str] | CliError]] = {}
        """By pod and container: one answer per request; the last one is repeated."""
        self.log_params: list[dict[str, str]] = []
        self.patches: list[tuple[str, str, Object]] = []
        self.documents: dict[str, Any] = {"/version": {"gitVersion": "v1.37.2"}}
        self.failures: dict[str, CliError] = {}
        """By plural: what every LIST of it raises."""
        self.forbidden: set[tuple[str, str]] = set()
        """Verb and resource that an access review denies."""
        self.address: tuple[str, int] | None = None
        self.get_pod: Callable[[], Object] | None = None
        """What the next GET of a pod answers, where it differs from the LIST."""
        self._closed = threading.Event()
        for item in objects:
            self.put(item)

    def put(self, item: Object) -> None:
        """Store an object as it is."""
        metadata = item["metadata"]
        self.objects[PLURALS[item["kind"]], metadata.get("namespace", ""), metadata["name"]] = item

    def close(self) -> None:
        """End every silent watch."""
        self._closed.set()

    def get(self, collection: Collection, name: str, namespace: str | None = None) -> Object:
        if collection.plural == "pods" and self.get_pod:
            return self.get_pod()
        scope = self.namespace if namespace is None else namespace
        found = self.objects.get((collection.plural, scope, name))
        if found is None:
            raise NotFound(f"{collection.plural} {name!r} not found.")
        return found

    def list(self, collection: Collection, params: Params, *, everywhere: bool = False) -> Listing:
        if collection.plural in self.failures:
            raise self.failures[collection.plural]
        items = [item for (plural, namespace, _), item in self.objects.items() if plural == collection.plural
                 and (everywhere or namespace in ("", self.namespace)) and _selected(item, params)]
        return Listing(items, "10")

    def watch(self, collection: Collection, params: Params, version: str) -> Iterator[Change]:
        scripts = self.watches.get(collection.plural, [])
        if not scripts:
            self._closed.wait()
            raise CliError("the test has ended")
        script = scripts.pop(0)
        if isinstance(script, CliError):
            raise script
        for change in script:
            if change.type != "BOOKMARK":
                self.put(change.object)
            yield change

    def create(self, collection: Collection, body: Object) -> Object:
        attributes = body["spec"]["resourceAttributes"]
        allowed = (attributes["verb"], attributes["resource"]) not in self.forbidden
        return {**body, "status": {"allowed": allowed}}

    def patch(self, collection: Collection, name: str, body: Object) -> Object:
        self.patches.append((collection.plural, name, body))
        return self.get(collection, name)

    def log(self, pod: str, params: Params) -> Iterator[str]:
        self.log_params.append(dict(params))
        answers = self.logs.get((pod, params["container"]), [[]])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, CliError):
            raise answer
        yield from answer

    @contextmanager
    def connect(self, pod: str, port: int) -> Iterator[socket.socket]:
        assert self.address, "the test has no server"
        with socket.create_connection(self.address) as stream:
            yield stream

    def read(self, path: str) -> Any:
        return self.documents[path]


def _selected(item: Object, params: Params) -> bool:
    """The two selectors that the commands use: label=value and metadata.name=value."""
    label, _, value = params.get("labelSelector", "").partition("=")
    if label and item["metadata"].get("labels", {}).get(label) != value:
        return False
    field, _, wanted = params.get("fieldSelector", "").partition("=")
    return not field or item["metadata"]["name"] == wanted
