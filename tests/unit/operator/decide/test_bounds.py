"""F43: however often a run is disturbed and however much its pods say, the status stays small."""

import json

import pytest

from tests.factories import make_finetunejob, make_modeldeployment
from tests.unit.operator.decide.world import End, World, good

LIMIT_BYTES = 32 * 1024
LONG = "größer ☃ " * 100_000
DISRUPTIONS = 80


def sizes(world: World) -> list[int]:
    """Bytes of each status that was written."""
    return [len(json.dumps(status, ensure_ascii=False).encode()) for status in world.statuses]


@pytest.mark.parametrize("stage", ["prepare", "train", "evaluate", "publish"])
def test_a_run_of_endless_trouble_has_a_small_status(stage: str) -> None:
    """More pods are lost than the status remembers; each counts once."""
    lost = 0

    def script(at: str, attempt: int) -> End:
        nonlocal lost
        if at != stage:
            return good(at, attempt)
        lost += 1
        return End(42, LONG) if lost <= DISRUPTIONS else End(1, json.dumps({"message": LONG}))

    run = make_finetunejob(retry={"failures": 10, "disruptions": 1000})
    world = World(run, script).run(lambda world: world.status.get("phase") == "Failed", passes=5 * DISRUPTIONS)
    assert world.stage(stage)["failures"] == 10
    assert world.stage(stage)["disruptions"] == DISRUPTIONS
    assert max(sizes(world)) < LIMIT_BYTES


def test_a_deployment_whose_model_is_wrong_at_length_has_a_small_status() -> None:
    world = World(make_modeldeployment(model={"uri": "pvc://models/out"}),
                  lambda stage, attempt: End(12, json.dumps({"message": LONG})))
    world.run(lambda world: world.status.get("phase") == "Failed")
    assert max(sizes(world)) < LIMIT_BYTES


@pytest.mark.parametrize("make", [make_finetunejob, make_modeldeployment])
def test_a_spec_that_nobody_knows_has_a_small_status(make: object) -> None:
    assert callable(make)
    world = World(make(**{f"unknown{number}": LONG[:1000] for number in range(200)}))
    world.step()
    assert sizes(world)[-1] < LIMIT_BYTES
