"""F2, F10, F11, F38: operators that end, are doubled, frozen, upgraded, or live by a wrong clock."""

import asyncio
import signal
import time
from datetime import datetime
from pathlib import Path

import pytest

from tests.faults.conftest import Undisturbed
from tests.rig.api import Object
from tests.rig.lives import LIVES, differences, serve, train
from tests.rig.player import End, default_script
from tests.rig.proxy import Write
from tests.rig.world import World, finetunejob

pytestmark = pytest.mark.apiserver

EXIT_SECONDS = 20
ROOT = Path(__file__).parents[2]
SKEWED = ROOT / "tests" / "rig" / "skewed"


async def test_sigterm_in_the_middle_of_a_life_is_an_orderly_end(world: World, undisturbed: Undisturbed) -> None:
    """F2: at every fifth write. It ends in time, gives the Lease back, and the life is as if nothing had been."""
    ends: list[float] = []

    async def end(write: Write) -> None:
        if write.number % 5 == 0 and all(task.done() for task in restarts):
            restarts.append(asyncio.create_task(restart()))

    async def restart() -> None:
        began = time.monotonic()
        assert await asyncio.to_thread(world.operator.stop, EXIT_SECONDS) == 0
        ends.append(time.monotonic() - began)
        assert await world.witness.holder() == ""
        world.operator.start()

    restarts: list[asyncio.Task[None]] = []
    world.proxy.after.append(end)
    trace = await LIVES["run"](world)
    await asyncio.gather(*restarts)
    assert len(ends) >= 3
    assert max(ends) < EXIT_SECONDS
    assert differences(await undisturbed("run"), trace) == []


async def test_of_two_operators_only_the_holder_of_the_lease_writes(world: World) -> None:
    """F10: one is frozen in the middle of a run, the other takes over; when the first wakes it writes nothing."""
    await train(world)
    other = world.new_operator("pod-b")
    world.operator.signal(signal.SIGSTOP)
    other.start()
    await world.player.release(world.namespace, "train")
    await world.until("FineTuneJob", "run", "True", "Published", 60)
    world.operator.signal(signal.SIGCONT)
    await world.api.create(finetunejob("later", output={"uri": "pvc://models/later"}), world.namespace)
    await world.until("FineTuneJob", "later", "True", "Published", 60)
    writers = [write.writer for write in world.proxy.writes]
    assert writers == sorted(writers)
    assert set(writers) == {"pod-a", "pod-b"}


async def test_operators_that_start_together_do_not_both_write(world: World) -> None:
    """F10: every write is compared with the Lease as it happens."""
    world.operator.kill()
    both = [world.new_operator(identity) for identity in ("pod-b", "pod-c")]
    for operator in both:
        operator.start()
    await world.api.create(finetunejob("run"), world.namespace)
    await world.until("FineTuneJob", "run", "True", "Published", 60)
    assert len({write.writer for write in world.proxy.writes}) == 1


@pytest.mark.parametrize("seconds", [-600, pytest.param(600, marks=pytest.mark.exhaustive)])
async def test_a_wrong_clock_shortens_and_lengthens_nothing(world: World, seconds: int) -> None:
    """F11: the operator's whole process lives ten minutes in the past or the future."""
    def script(pod: Object) -> End:
        labels = pod["metadata"]["labels"]
        first = (labels.get("anneal.dev/stage"), labels.get("anneal.dev/attempt")) == ("train", "0")
        return End(1) if first else default_script(pod)

    world.operator.kill()
    world.operator = world.new_operator("pod-b", SKEW_SECONDS=str(seconds), PYTHONPATH=f"{SKEWED}:{ROOT / 'operator'}")
    world.operator.start()
    world.player.script = script
    await world.api.create(finetunejob("run"), world.namespace)
    published = await world.until("FineTuneJob", "run", "True", "Published", 90)
    failed, made = await _first_attempt_failed_and_second_made(world)
    assert 9 <= (made - failed).total_seconds() <= 13, "the pause before the second attempt is ten seconds"
    world.player.hold.add("prepare")
    await world.api.create(finetunejob("late", deadline="15s", output={"uri": "pvc://models/late"}), world.namespace)
    late = await world.until("FineTuneJob", "late", "False", "DeadlineExceeded", 60)
    spent = _time(late["status"]["stages"][0]["finishTime"]) - _time(late["status"]["run"]["startTime"])
    assert 15 <= spent.total_seconds() <= 18
    skew = _time(published["status"]["run"]["startTime"]) - _time(published["metadata"]["creationTimestamp"])
    assert abs(skew.total_seconds()) < 30


async def _first_attempt_failed_and_second_made(world: World) -> tuple[datetime, datetime]:
    jobs = {job["metadata"]["labels"]["anneal.dev/attempt"]: job
            for job in await world.api.list("Job", world.namespace, "anneal.dev/stage=train")}
    ended = next(c for c in jobs["0"]["status"]["conditions"] if c["type"] == "Failed")
    return _time(ended["lastTransitionTime"]), _time(jobs["1"]["metadata"]["creationTimestamp"])


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def test_an_upgrade_touches_nothing_that_runs(world: World) -> None:
    """F38, F15: new images are for new attempts and revisions; what runs keeps its pods and its children."""
    await train(world)
    await serve(world)
    world.operator.kill()
    before, written = await _children(world), len(world.proxy.writes)
    world.operator = world.new_operator("pod-b", ANNEAL_TRAINER_IMAGE="example.com/trainer:2",
                                        ANNEAL_VLLM_IMAGE="example.com/vllm:2")
    world.operator.start()
    # A whole other life passes under the new operator.
    await world.api.create(finetunejob("other", output={"uri": "pvc://models/other"}), world.namespace)
    await world.api.until("FineTuneJob", world.namespace, "other", lambda run: len(run.get("status", {}).get(
        "stages", [])) == 4 and run["status"]["stages"][1]["state"] == "Running", 60)
    assert await _children(world) == before
    assert [str(w) for w in world.proxy.writes[written:] if "other" not in f"{w.path} {w.body}"] == []
    await world.player.release(world.namespace, "train")
    await world.until("FineTuneJob", "run", "True", "Published", 60)


async def _children(world: World) -> dict[str, object]:
    selector = "anneal.dev/name in (run,serve)"
    found = [obj for kind in ("Pod", "Job", "Deployment", "ConfigMap")
             for obj in await world.api.list(kind, world.namespace, selector)]
    return {obj["metadata"]["uid"]: obj.get("spec") or obj.get("data") for obj in found}
