"""The real cluster, over the official client: raw JSON, the caller's kubeconfig, and errors in plain words."""

import json
import logging
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import kubernetes.config
import urllib3.exceptions
from kubernetes.client import ApiClient, ApiException, Configuration
from kubernetes.config.config_exception import ConfigException
from kubernetes.stream import ws_client
from yaml import YAMLError

from anneal_cli.cluster import Change, Listing, Params
from anneal_cli.errors import CliError, Expired, Unavailable
from anneal_cli.kinds import PODS, Collection
from anneal_cli.refusals import explain_refusal
from anneal_cli.resource import Object

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
WATCH_SECONDS = 240
SILENT_SECONDS = WATCH_SECONDS + 30.0
IN_CLUSTER_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
CONTENT = {"PATCH": {"Content-Type": "application/merge-patch+json"}, "POST": {"Content-Type": "application/json"}}
# The client has types for some of its functions only.
config: Any = kubernetes.config
forwarding: Any = ws_client


class KubeCluster:
    """One context of a kubeconfig, or the service account of the pod we run in."""

    def __init__(self, kubeconfig: str | None, context: str | None, namespace: str | None) -> None:
        self._configuration = Configuration()
        self.context, default = _load(self._configuration, kubeconfig, context)
        # One retry covers a connection that the server closed while it was idle.
        self._configuration.retries = urllib3.Retry(1, redirect=False)
        self.namespace = namespace or default
        self._client: Any = ApiClient(self._configuration)

    def get(self, collection: Collection, name: str, namespace: str | None = None) -> Object:
        """One object."""
        scope = self.namespace if namespace is None else namespace
        found: Object = self._json("get", collection, collection.path(scope, name))
        return found

    def list(self, collection: Collection, params: Params, *, everywhere: bool = False) -> Listing:
        """All pages of a LIST."""
        items: list[Object] = []
        path, page = collection.path(None if everywhere else self.namespace), {**params, "limit": "500"}
        while True:
            answer = self._json("list", collection, path, page)
            items += [_with_kind(item, answer) for item in answer["items"]]
            page["continue"] = answer["metadata"].get("continue", "")
            if not page["continue"]:
                return Listing(items, answer["metadata"].get("resourceVersion", ""))

    def watch(self, collection: Collection, params: Params, version: str) -> Iterator[Change]:
        """Changes, one JSON document per line."""
        query = {**params, "watch": "true", "resourceVersion": version, "timeoutSeconds": str(WATCH_SECONDS)}
        path = collection.path(self.namespace)
        for line in self._lines("watch", collection, path, query):
            event = json.loads(line)
            if event["type"] == "ERROR":
                raise Expired(f"The watch of {collection.plural} ended: {event['object'].get('message', '')}")
            yield Change(event["type"], event["object"])

    def create(self, collection: Collection, body: Object) -> Object:
        """POST."""
        created: Object = self._json("create", collection, collection.path(None), body=body, method="POST")
        return created

    def patch(self, collection: Collection, name: str, body: Object) -> Object:
        """JSON merge patch."""
        path = collection.path(self.namespace, name)
        patched: Object = self._json("patch", collection, path, body=body, method="PATCH")
        return patched

    def log(self, pod: str, params: Params) -> Iterator[str]:
        """Lines of a container's log."""
        log = Collection(PODS.api, "pods/log")
        for line in self._lines("get", log, PODS.path(self.namespace, pod, "log"), params):
            yield line.decode("utf-8", "replace").rstrip("\r")

    @contextmanager
    def connect(self, pod: str, port: int) -> Iterator[socket.socket]:
        """A port-forward of one connection."""
        query = [("ports", str(port))]
        with _plain_errors("create", Collection(PODS.api, "pods/portforward"), self):
            # Not through CoreV1Api: its import alone takes a second, and it swaps methods of a shared client.
            method, url, headers = self._serialize("GET", PODS.path(self.namespace, pod, "portforward"), {})
            forward = forwarding.portforward_call(self._configuration, method, url, headers=headers, query_params=query)
        try:
            yield forward.socket(port)
        finally:
            forward.close()

    def read(self, path: str) -> Any:
        """The JSON at a path."""
        return self._json("get", Collection("", path), path)

    def _json(self, verb: str, collection: Collection, path: str, params: Params | None = None,
              body: Object | None = None, method: str = "GET") -> Any:
        with _plain_errors(verb, collection, self):
            response = self._request(path, params or {}, READ_SECONDS, method, body)
            _check(response)
            return json.loads(response.data)

    def _lines(self, verb: str, collection: Collection, path: str, params: Params) -> Iterator[bytes]:
        with _plain_errors(verb, collection, self):
            response = self._request(path, params, SILENT_SECONDS)
            _check(response)
            rest = b""
            for chunk in response.stream(65536, decode_content=True):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (line for line in lines if line)
            if rest:
                yield rest

    def _request(self, path: str, params: Params, seconds: float, method: str = "GET",
                 body: Object | None = None) -> Any:
        wanted = {"Accept": "application/json, */*", **CONTENT.get(method, {})}
        method, url, headers = self._serialize(method, path, wanted)
        query = f"?{urlencode(params)}" if params else ""
        answer = self._client.rest_client.request(
            method, url + query, headers=headers, body=body, _request_timeout=(CONNECT_SECONDS, seconds))
        return answer.response

    def _serialize(self, method: str, path: str, headers: dict[str, str]) -> tuple[str, str, dict[str, str]]:
        """Method, whole URL and headers with the caller's credentials."""
        request: tuple[str, str, dict[str, str], Any, Any] = self._client.param_serialize(
            method, path, header_params=headers, query_params=[], auth_settings=["BearerToken"])
        return request[:3]


def _load(configuration: Configuration, kubeconfig: str | None, context: str | None) -> tuple[str, str]:
    """Fill the configuration; return the context's name and its namespace."""
    try:
        if not kubeconfig and not context and _in_cluster():
            config.load_incluster_config(client_configuration=configuration)
            return "in-cluster", IN_CLUSTER_NAMESPACE.read_text().strip() or "default"
        with _Complaints() as said:
            config.load_kube_config(kubeconfig, context, configuration, persist_config=False)
        contexts, active = config.list_kube_config_contexts(kubeconfig)
    except (ConfigException, OSError, ValueError, YAMLError) as error:
        raise CliError(f"No cluster to talk to: {_one_line(error)}.",
                       "Set KUBECONFIG or --kubeconfig to a readable file, and --context to one of its contexts "
                       "(`kubectl config get-contexts`).") from error
    if said:
        raise CliError(f"No credentials for the cluster: {'; '.join(said)}.",
                       "Install the program that users[].user.exec.command of the kubeconfig names, or log in again; "
                       "`kubectl get ns` must work.")
    chosen = next((c for c in contexts if c["name"] == context), active)
    return str(chosen["name"]), str(chosen["context"].get("namespace") or "default")


class _Complaints(logging.Handler):
    """Keeps what the client logs about credentials: it says there that a plugin failed, and goes on as nobody."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message."""
        self.said.append(_one_line(record.getMessage()))

    def __enter__(self) -> list[str]:
        logging.getLogger().addHandler(self)
        return self.said

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self)


def _one_line(error: object) -> str:
    return " ".join(str(error).split()).rstrip(".")


def _in_cluster() -> bool:
    has_file = os.environ.get("KUBECONFIG") or (Path.home() / ".kube" / "config").exists()
    return not has_file and "KUBERNETES_SERVICE_HOST" in os.environ and IN_CLUSTER_NAMESPACE.exists()


def _with_kind(item: Object, listing: Object) -> Object:
    """Items of a LIST carry no kind; everything else does."""
    return {"apiVersion": listing["apiVersion"], "kind": str(listing["kind"]).removesuffix("List"), **item}


def _check(response: Any) -> None:
    if response.status >= 400:
        raise ApiException(status=response.status, reason=response.data.decode("utf-8", "replace"))


@contextmanager
def _plain_errors(verb: str, collection: Collection, cluster: KubeCluster) -> Iterator[None]:
    """Turn the client's exceptions into ours."""
    try:
        yield
    except ApiException as error:
        status, body = _answer_of(error)
        raise explain_refusal(status, body, verb, collection, cluster.namespace, cluster.context) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise Unavailable(
            f"The API server of context {cluster.context} does not answer: {_root_cause(error)}.",
            "Check that the cluster runs (`kubectl cluster-info`) and that --context is the right one.") from error


def _answer_of(error: ApiException) -> tuple[int, str]:
    """Status and body; a refused WebSocket has both in its text only: status, headers and body, with marks between."""
    reason = str(error.reason)
    handshake = re.match(r"Handshake status (\d+)", reason)
    if error.status or not handshake:
        return error.status or 0, reason
    return int(handshake[1]), reason.rpartition("-+-+- ")[2]


def _root_cause(error: BaseException) -> str:
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return _root_cause(reason)
    return str(error).rpartition(": ")[2].rstrip(".")


