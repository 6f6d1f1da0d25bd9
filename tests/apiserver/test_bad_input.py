"""Bad input that is no single file: rows S38, S51 and S52 of docs/bad-input.md, with the real operator."""

from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest

from tests.rig.api import ApiError, condition
from tests.rig.world import World, finetunejob

pytestmark = pytest.mark.apiserver

TOGGLES = 50
_numbers = count()


@pytest.fixture
async def world(kubeconfig: Path, tmp_path: Path) -> AsyncIterator[World]:
    made = World(kubeconfig, f"bad-input-{next(_numbers)}", tmp_path)
    made.player.nodes = 1
    async with made:
        made.operator.start()
        yield made
        assert made.invariants.violations == []
        assert "Traceback" not in made.operator.text()


async def test_s38_annotations_are_bounded_by_the_api_server_and_large_ones_do_no_harm(world: World) -> None:
    large = finetunejob("large")
    large["metadata"]["annotations"] = {"note": "x" * 300_000}
    with pytest.raises(ApiError, match="annotations: Too long"):
        await world.api.create(large, world.namespace)
    large["metadata"]["annotations"] = {"note": "x" * 250_000}
    await world.api.create(large, world.namespace)
    await world.until("FineTuneJob", "large", "True", "Published")


async def test_s51_suspend_toggled_many_times_ends_as_the_last_word_says(world: World) -> None:
    world.player.hold = {"prepare"}
    await world.api.create(finetunejob("nervous"), world.namespace)
    for number in range(TOGGLES):
        await world.api.patch("FineTuneJob", world.namespace, "nervous", {"spec": {"suspend": number % 2 == 0}})
    await world.player.release(world.namespace, "prepare")
    done = await world.until("FineTuneJob", "nervous", "True", "Published", 60)
    assert done["metadata"]["generation"] == TOGGLES + 1
    attempts = {stage["name"]: stage["attempt"] for stage in done["status"]["stages"]}
    jobs = [name for name in world.invariants.created if name.startswith("jobs/nervous-")]
    assert len(jobs) == sum(attempts.values()) + len(attempts), "one Job for each attempt, and never two at a time"
    assert sum(stage.get("failures", 0) for stage in done["status"]["stages"]) == 0


async def test_s52_an_object_that_only_has_the_name_is_left_alone(world: World) -> None:
    await world.api.create(finetunejob("mine", suspend=True), world.namespace)
    held = await world.until("FineTuneJob", "mine", "False", "Suspended")
    name = f"mine-{held['metadata']['uid'].replace('-', '')[:8]}-prepare-0"
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "example.com/c:1"}]}
    foreign = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
               "spec": {"suspend": True, "template": {"spec": pod}}}
    made = await world.api.create(foreign, world.namespace)
    await world.api.patch("FineTuneJob", world.namespace, "mine", {"spec": {"suspend": False}})
    failed = await world.until("FineTuneJob", "mine", "False", "NameTaken")
    assert name in condition(failed, "Stalled")["message"]
    await world.api.delete("FineTuneJob", world.namespace, "mine")
    await world.api.until("FineTuneJob", world.namespace, "mine", lambda found: not found)
    left = await world.api.get("Job", world.namespace, name)
    assert left["metadata"]["uid"] == made["metadata"]["uid"]
    assert left["spec"] == made["spec"]
