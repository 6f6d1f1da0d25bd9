"""One question for all who wait, none while the answer is fresh, and nothing kept that nobody asks for."""

import asyncio

from anneal_operator.kube.shared import SWEEP_SECONDS, Shared


class Oracle:
    """Answers with the number of the question."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked: list[str] = []
        self.shared: Shared[str, int] = Shared(self._answer, lambda value, seconds: 5.0 + seconds, lambda: self.now)

    async def _answer(self, key: str) -> int:
        self.asked.append(key)
        number = len(self.asked)
        await asyncio.sleep(0)
        return number


async def test_those_who_ask_together_share_a_question() -> None:
    oracle = Oracle()
    assert await asyncio.gather(*(oracle.shared.get(key) for key in "aabab")) == [1, 1, 2, 1, 2]


async def test_an_answer_serves_its_time_and_no_longer() -> None:
    oracle = Oracle()
    assert await oracle.shared.get("a") == 1
    oracle.now = 4.9
    assert await oracle.shared.get("a") == 1
    oracle.now = 5.0
    assert await oracle.shared.get("a") == 2


async def test_who_stops_waiting_does_not_spoil_the_answer_for_others() -> None:
    oracle = Oracle()
    first = asyncio.create_task(oracle.shared.get("a"))
    second = asyncio.create_task(oracle.shared.get("a"))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == 1
    assert first.cancelled()


async def test_what_nobody_asks_for_any_more_is_thrown_away() -> None:
    oracle = Oracle()
    for number in range(100):
        await oracle.shared.get(str(number))
    oracle.now = SWEEP_SECONDS + 1
    await oracle.shared.get("new")
    assert len(oracle.shared) == 1
