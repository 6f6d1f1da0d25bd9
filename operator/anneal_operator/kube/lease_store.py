"""The Lease object over the official client's synchronous half, for the Lease's own thread; raw JSON."""

import json
import os
from datetime import datetime
from typing import Any

import urllib3
from kubernetes import config
from kubernetes.client import Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.client.rest import RESTClientObject

from anneal_operator.kube.kinds import Kind, meta
from anneal_operator.kube.lease import NAME, LeaseConflict, LeaseUnreachable, Record

LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases")
TIMEOUT = (2, 2)
"""Seconds to connect and to read: several tries must fit into the duration of the Lease."""


def load_configuration() -> Configuration:
    """A connection of its own, which shares nothing with the event loop."""
    configuration = Configuration()
    configuration.retries = False
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    else:
        config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    return configuration


class ApiLeaseStore:
    """See LeaseStore."""

    def __init__(self, configuration: Configuration, namespace: str) -> None:
        self._configuration = configuration
        self._rest = RESTClientObject(configuration)
        self._namespace = namespace

    def read(self) -> Record | None:
        status, lease = self._request("GET", LEASE.path(self._namespace, NAME))
        return None if status == 404 else _record(lease)

    def write(self, record: Record, now: datetime) -> Record:
        body = _manifest(record, self._namespace, now)
        if record.version:
            _, lease = self._request("PUT", LEASE.path(self._namespace, NAME), body)
        else:
            _, lease = self._request("POST", LEASE.path(self._namespace), body)
        return _record(lease)

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        try:
            response = self._rest.request(  # type: ignore[no-untyped-call]
                method, self._configuration.host + path, headers=self._headers(), body=body,
                _request_timeout=TIMEOUT)
            data = response.read()
        except (ApiException, urllib3.exceptions.HTTPError, OSError) as error:
            raise LeaseUnreachable(repr(error)) from error
        if response.status == 409:
            raise LeaseConflict
        if response.status >= 300 and (method, response.status) != ("GET", 404):
            raise LeaseUnreachable(f"{method} {path}: HTTP {response.status} {data[:500].decode(errors='replace')}")
        return response.status, json.loads(data)

    def _headers(self) -> dict[str, str]:
        auth = self._configuration.auth_settings().get("BearerToken")
        token = {"Authorization": auth["value"]} if auth and auth["value"] else {}
        return {"Accept": "application/json", "Content-Type": "application/json", **token}


def _record(lease: dict[str, Any]) -> Record:
    spec = lease.get("spec") or {}
    return Record(spec.get("holderIdentity") or "", spec.get("leaseDurationSeconds") or 1,
                  meta(lease)["resourceVersion"], spec.get("leaseTransitions") or 0)


def _manifest(record: Record, namespace: str, now: datetime) -> dict[str, Any]:
    version = {"resourceVersion": record.version} if record.version else {}
    return {
        "apiVersion": LEASE.api_version, "kind": LEASE.name,
        "metadata": {"name": NAME, "namespace": namespace, **version},
        "spec": {"holderIdentity": record.holder, "leaseDurationSeconds": record.duration,
                 "renewTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "leaseTransitions": record.transitions},
    }
