"""Our CRDs, as generated now, on an API server of a rig."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anneal_localcluster.control_plane import ControlPlane
from tests.rig.api import Api, ApiError, Object
from tests.rig.operator import ROOT


@contextmanager
def api_server(folder: Path) -> Iterator[Path]:
    """The kubeconfig of a control plane that knows our kinds."""
    with ControlPlane(folder) as plane:
        asyncio.run(_install(plane.kubeconfig))
        yield plane.kubeconfig


async def _install(kubeconfig: Path) -> None:
    async with Api(kubeconfig) as api:
        await install_kinds(api)


async def install_kinds(api: Api) -> None:
    """Make the API server know our kinds; returns when it serves and explains them."""
    crds = our_crds()
    for crd in crds:
        await api.create(crd)
        await api.until("CustomResourceDefinition", "", crd["metadata"]["name"], _established)
    async with asyncio.timeout(30):
        # The OpenAPI document follows by moments, and there is nothing to watch.
        while not await _explained(api, {crd["spec"]["names"]["kind"] for crd in crds}):
            await asyncio.sleep(0.05)


def our_crds() -> list[Object]:
    """The CRDs as generated now."""
    text = subprocess.run([sys.executable, "-m", "anneal_api.crd"], cwd=ROOT / "operator", check=True,
                          capture_output=True, text=True).stdout
    crds: list[Object] = []
    while text := text.strip():
        crd, end = json.JSONDecoder().raw_decode(text)
        crds += crd if isinstance(crd, list) else crd.get("items", [crd])
        text = text[end:]
    return crds


async def _explained(api: Api, kinds: set[str]) -> bool:
    try:
        document = await api.call("GET", "/openapi/v3/apis/anneal.dev/v1alpha1")
    except ApiError as error:
        if error.status != 404:
            raise
        return False
    return {f"dev.anneal.v1alpha1.{kind}" for kind in kinds} <= document["components"]["schemas"].keys()


def _established(crd: Object) -> bool:
    conditions = crd.get("status", {}).get("conditions") or []
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)
