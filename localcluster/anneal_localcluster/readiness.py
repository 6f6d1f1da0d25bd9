"""Waiting for things that answer, by asking them."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable
from typing import Any

from anneal_localcluster.components import Site
from anneal_localcluster.errors import ClusterError
from anneal_localcluster.shell import run

PAUSE = 0.1


def wait_for(what: str, ready: Callable[[], bool], timeout: float, check: Callable[[], None]) -> None:
    """`check` raises when waiting has become pointless, for example because the process ended."""
    deadline = time.monotonic() + timeout
    while not ready():
        check()
        if time.monotonic() > deadline:
            raise ClusterError(f"{what} was not ready after {timeout:.0f} s", "look at the logs that `status` names")
        time.sleep(PAUSE)


def accounts_ready(site: Site) -> bool:
    """Pods are refused in a namespace until its default service account exists."""
    return api_get(site, "/api/v1/namespaces/default/serviceaccounts/default") is not None


def api_ready(site: Site) -> bool:
    return api_get(site, "/readyz") is not None


def node_ready(site: Site, node: str) -> bool:
    conditions = node_status(site, node).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def allocatable(site: Site, node: str, resource: str) -> str:
    return str(node_status(site, node).get("allocatable", {}).get(resource, "0"))


def node_status(site: Site, node: str) -> dict[str, Any]:
    body = api_get(site, f"/api/v1/nodes/{node}")
    return {} if body is None else json.loads(body)["status"]


def api_get(site: Site, path: str) -> bytes | None:
    """The body of a good answer; None for any other, or for none at all."""
    context = ssl.create_default_context(cafile=site.certificate("ca"))
    context.load_cert_chain(site.certificate("admin"), site.key("admin"))
    return get(http.client.HTTPSConnection(site.api_address, site.ports.apiserver, timeout=5, context=context), path)


def answers(port: int, path: str) -> bool:
    return get(http.client.HTTPConnection("127.0.0.1", port, timeout=5), path) is not None


def get(connection: http.client.HTTPConnection, path: str) -> bytes | None:
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.read() if response.status == http.client.OK else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def kubectl(site: Site, *arguments: str) -> str:
    return run(kubectl_argv(site, *arguments), environment=site.environment)


def kubectl_argv(site: Site, *arguments: str) -> list[str]:
    """Its cache goes away with the cluster instead of staying in the home folder."""
    cache = f"--cache-dir={site.folders.state / 'kubectl-cache'}"
    return [str(site.binary), "kubectl", f"--kubeconfig={site.folders.kubeconfig}", cache, *arguments]
