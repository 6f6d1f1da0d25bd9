"""Our CRDs, as generated now, on an API server of a rig."""

import json
import subprocess
import sys

from tests.rig.api import Api, Object
from tests.rig.operator import ROOT


async def install_kinds(api: Api) -> None:
    """Make the API server know our kinds; returns when it serves them."""
    for crd in our_crds():
        await api.create(crd)
        await api.until("CustomResourceDefinition", "", crd["metadata"]["name"], _established)


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


def _established(crd: Object) -> bool:
    conditions = crd.get("status", {}).get("conditions") or []
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)
