"""One question for all who wait in a namespace, and none while the answer is fresh."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from anneal_operator.decide.facts import Object
from anneal_operator.kube import errors
from anneal_operator.kube.client import Listing
from anneal_operator.kube.kinds import EVENT, Kind
from anneal_operator.kube.warnings import FRESH_SECONDS, LONGEST_SECONDS, Warnings
from tests.fakes import FakeKube


class Clock:
    """Time that passes when the test says so, and while the API server answers."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class SlowKube(FakeKube):
    """An API server whose lists take their time, and let others run meanwhile."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.seconds = 0.0

    async def pages(
        self, kind: Kind, namespace: str | None, *, labels: str = "", fields: str = "",
    ) -> AsyncGenerator[Listing, None]:
        await asyncio.sleep(0)
        self.clock.now += self.seconds
        async for page in super().pages(kind, namespace, labels=labels, fields=fields):
            yield page

    def event(self, about: str, message: str, kind: str = "Warning", namespace: str = "team") -> None:
        name = f"{about}.{len(self.objects(EVENT))}"
        self.add({"apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": namespace},
                  "type": kind, "involvedObject": {"name": about}, "message": message})


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kube(clock: Clock) -> SlowKube:
    return SlowKube(clock)


@pytest.fixture
def warnings(kube: SlowKube, clock: Clock) -> Warnings:
    return Warnings(kube, clock)


def messages(events: tuple[Object, ...]) -> list[str]:
    return [event["message"] for event in events]


async def test_only_warnings_about_what_was_asked_for(kube: SlowKube, warnings: Warnings) -> None:
    kube.event("pod-a", "no node")
    kube.event("pod-b", "no image")
    kube.event("pod-a", "created", kind="Normal")
    kube.event("pod-a", "elsewhere", namespace="other")
    assert messages(await warnings.about("team", ["pod-a", "pod-c", "pod-a"])) == ["no node"]


async def test_nobody_is_asked_about_nothing(kube: SlowKube, warnings: Warnings) -> None:
    assert await warnings.about("team", []) == ()
    assert kube.count() == {}


async def test_many_who_ask_at_once_share_one_question(kube: SlowKube, warnings: Warnings) -> None:
    kube.event("pod-7", "no node")
    answers = await asyncio.gather(*(warnings.about("team", [f"pod-{n}"]) for n in range(10)))
    assert [messages(answer) for answer in answers] == [["no node"] if n == 7 else [] for n in range(10)]
    assert kube.count() == {"list": 1}


async def test_an_answer_serves_until_it_is_old(kube: SlowKube, warnings: Warnings, clock: Clock) -> None:
    await warnings.about("team", ["pod-a"])
    kube.event("pod-a", "no node")
    clock.now += FRESH_SECONDS - 0.1
    assert await warnings.about("team", ["pod-a"]) == ()
    clock.now += 0.2
    assert messages(await warnings.about("team", ["pod-a"])) == ["no node"]


async def test_a_slow_answer_serves_longer(kube: SlowKube, warnings: Warnings, clock: Clock) -> None:
    kube.seconds = 2.0
    await warnings.about("team", ["pod-a"])
    clock.now += 39.0  # 2 of 40 seconds are 5 %
    await warnings.about("team", ["pod-a"])
    assert kube.count() == {"list": 1}
    clock.now += 2.0
    await warnings.about("team", ["pod-a"])
    assert kube.count() == {"list": 2}


async def test_namespaces_share_the_time_that_may_be_spent(kube: SlowKube, warnings: Warnings, clock: Clock) -> None:
    kube.seconds = 0.5
    for _ in range(2):
        for name in ("team-a", "team-b", "team-c", "team-d"):
            await warnings.about(name, ["pod"])
        clock.now += 10.1  # the first answer served for itself alone
    asked = kube.count()["list"]
    for _ in range(380):
        clock.now += 1.0
        for name in ("team-a", "team-b", "team-c", "team-d"):
            await warnings.about(name, ["pod"])
    # What the lists themselves take passes on this clock, too.
    assert 0.5 * (kube.count()["list"] - asked) == pytest.approx(0.05 * 400, rel=0.2)


async def test_a_very_slow_answer_does_not_serve_for_ever(kube: SlowKube, warnings: Warnings, clock: Clock) -> None:
    kube.seconds = 60.0
    await warnings.about("team", ["pod-a"])
    clock.now += LONGEST_SECONDS + 0.1
    await warnings.about("team", ["pod-a"])
    assert kube.count() == {"list": 2}


async def test_a_failure_is_told_to_all_who_asked_and_not_kept(kube: SlowKube, warnings: Warnings) -> None:
    kube.event("pod-a", "no node")
    kube.fail("list", EVENT, errors.Unavailable("no answer"))
    answers = await asyncio.gather(*(warnings.about("team", ["pod-a"]) for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [errors.Unavailable] * 3
    assert messages(await warnings.about("team", ["pod-a"])) == ["no node"]
