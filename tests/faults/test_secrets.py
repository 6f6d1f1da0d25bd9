"""I7: the bytes of a Secret stay in the Secret."""

import json

import pytest

from tests.faults.conftest import CANARY
from tests.rig.player import End
from tests.rig.world import World, finetunejob

pytestmark = pytest.mark.apiserver

KINDS = ("FineTuneJob", "Job", "Pod", "ConfigMap", "PersistentVolumeClaim", "Event")


async def test_a_token_is_in_no_object_and_in_no_log(world: World) -> None:
    """A run that uses it, from creation to its failure; the proxy looks at every write."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hf"}, "stringData": {"token": CANARY}}
    await world.api.create(secret, world.namespace)
    world.player.script = lambda _: End(19, json.dumps({"message": "example/model has no config.json"}))
    model = {"uri": "hf://example/model", "secretRef": {"name": "hf"}}
    await world.api.create(finetunejob("run", model=model), world.namespace)
    await world.until("FineTuneJob", "run", "False", "ModelNotFound", 30)
    objects = [await world.api.list(kind, world.namespace) for kind in KINDS]
    assert "example/model" in json.dumps(objects)
    assert CANARY not in json.dumps(objects)
    assert CANARY not in world.operator.text()
