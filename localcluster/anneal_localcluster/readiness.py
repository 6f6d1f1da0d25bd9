"""Waiting for things that answer, by asking them."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Callable
from anneal_localcluster.components import Site
from anneal_localcluster.errors import ClusterError
from anneal_localcluster.shell import attempt, run

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
    return api_answers(site, "/api/v1/namespaces/default/serviceaccounts/default")


def api_answers(site: Site, path: str) -> bool:
    context = ssl.create_default_context(cafile=site.certificate("ca"))
    context.load_cert_chain(site.certificate("admin"), site.key("admin"))
    connection = http.client.HTTPSConnection(site.api_address, site.ports.apiserver, timeout=5, context=context)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def answers_ok(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def node_ready(site: Site, node: str) -> bool:
    condition = '{.status.conditions[?(@.type=="Ready")].status}'
    return kubectl_output(site, "get", "node", node, "-o", f"jsonpath={condition}") == "True"


def allocatable(site: Site, node: str, resource: str) -> str:
    escaped = resource.replace(".", r"\.")
    return kubectl_output(site, "get", "node", node, "-o", f"jsonpath={{.status.allocatable.{escaped}}}")


def kubectl_output(site: Site, *arguments: str) -> str:
    """Empty when the question fails."""
    done = attempt(kubectl_argv(site, *arguments))
    return done.stdout.strip() if done.returncode == 0 else ""


def kubectl(site: Site, *arguments: str) -> str:
    return run(kubectl_argv(site, *arguments))


def kubectl_argv(site: Site, *arguments: str) -> list[str]:
    """Its cache goes away with the cluster instead of staying in the home folder."""
    cache = f"--cache-dir={site.folders.state / 'kubectl-cache'}"
    return [str(site.binary), "kubectl", f"--kubeconfig={site.folders.kubeconfig}", cache, *arguments]
