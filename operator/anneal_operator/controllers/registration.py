"""How Kopf is used: as the runtime that logs in, watches our resources and hands each event to the intake.

Kopf keeps no state of ours and writes nothing: no diff handlers (so no annotations), no daemons or timers (so no
finalizers), no peering, no posted events.
"""

import asyncio
from typing import Any

import kopf

from anneal_operator.controllers.intake import Intake
from anneal_operator.kube.kinds import RESOURCES, Kind

EXIT_SECONDS = 18.0
"""Kopf kills the process after this time; the kubelet does after 30."""


class _NoDiffs(kopf.DiffBaseStorage):
    """Kopf compares each object with what it noted about it before, which costs deep copies: a sixth of our time."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> kopf.BodyEssence:  # noqa: ARG002
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:  # noqa: ARG002
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        raise NotImplementedError("only diff handlers note anything, and there are none")


def registry(intake: Intake, stop: asyncio.Event) -> kopf.OperatorRegistry:
    """One handler for each kind that is watched."""
    result = kopf.OperatorRegistry()
    kopf.on.login(registry=result)(_login)
    kopf.on.cleanup(registry=result, id="stopped")(_setter(stop))
    for kind in RESOURCES:
        kopf.on.event(kind.group, kind.version, kind.plural, registry=result, id=f"see-{kind.plural}")(
            _handler(intake, kind))
    return result


def settings() -> kopf.OperatorSettings:
    """Kopf's settings; the pitfalls behind them are listed in docs/architecture.md."""
    result = kopf.OperatorSettings()
    result.process.ultimate_exiting_timeout = EXIT_SECONDS
    result.posting.enabled = False
    result.peering.standalone = True
    result.scanning.disabled = True
    result.persistence.diffbase_storage = _NoDiffs()
    # Kopf removes its own finalizer from whatever it watches; the default one belongs to all other Kopf operators.
    result.persistence.finalizer = "anneal.dev/kopf-unused"
    result.watching.chunk_size = 500
    result.watching.client_timeout = 600
    result.watching.connect_timeout = 10
    result.networking.request_timeout = 60
    return result


def _handler(intake: Intake, kind: Kind) -> Any:
    async def see(event: kopf.RawEvent, **_: Any) -> None:
        obj = {"apiVersion": kind.api_version, "kind": kind.name, **event["object"]}
        intake.event(kind, event["type"] == "DELETED", obj)
        if event["type"] is None:  # Kopf's word for an object of a list
            intake.relisted()

    return see


def _setter(stop: asyncio.Event) -> Any:
    async def stopped(**_: Any) -> None:
        # Kopf waits 5 s at its end for its own task that waits for this flag.
        stop.set()

    return stopped


def _login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    return kopf.login_via_client(**kwargs)
