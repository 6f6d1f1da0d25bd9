"""F1: the operator is killed before or after each of its writes, for both kinds and through every phase of their lives.

Oracle E: the end state equals that of the undisturbed life. Oracle H: so does the number of created and deleted objects
per name; a write that was committed but not answered may be repeated by its retry, never doubled in effect.
"""

import pytest

from tests.faults.conftest import Undisturbed
from tests.rig.lives import LIVES, STATUS, Golden, differences
from tests.rig.proxy import Write
from tests.rig.world import World

pytestmark = pytest.mark.apiserver

EVERY = 3
"""`make test` kills around every third write, `make test-faults` around every one."""
RESUME_SECONDS = 30.0


@pytest.mark.parametrize("life", LIVES)
async def test_an_undisturbed_life_writes_what_the_golden_file_says(
    undisturbed: Undisturbed, life: str, request: pytest.FixtureRequest,
) -> None:
    """docs/writes.md is made of these files."""
    found = Golden.of(await undisturbed(life))
    if request.config.getoption("--update-golden"):
        found.write(life)
    golden = Golden.read(life)
    assert (found.created, found.deleted, found.writes) == (golden.created, golden.deleted, golden.writes)
    assert found.fewest_status_patches <= golden.most_status_patches


def points(life: str) -> list[tuple[str, int]]:
    """Every write of a life: what it is, and the how-manyth."""
    golden = Golden.read(life)
    status = STATUS["serve" in life]
    counts = {**golden.writes, status: golden.fewest_status_patches}
    return [(what, nth) for what, count in counts.items() for nth in range(1, count + 1)]


def kills() -> list[object]:
    """All lives, all writes, before and after; what `make test` leaves out is marked."""
    every = [(life, *point) for life in LIVES for point in points(life)]
    return [pytest.param(life, when, what, nth, marks=() if _often(number, when) else pytest.mark.exhaustive)
            for number, (life, what, nth) in enumerate(every) for when in ("before", "after")]


def _often(number: int, when: str) -> bool:
    return number % EVERY == 0 and when == ("before", "after")[number // EVERY % 2]


@pytest.mark.parametrize(("life", "when", "what", "nth"), kills())
async def test_a_kill_at_any_write_changes_nothing(
    world: World, undisturbed: Undisturbed, life: str, when: str, what: str, nth: int,
) -> None:
    def here(write: Write) -> bool:
        return f"{write.method} {write.resource}" == what and world.number_of(write) == nth

    killed = world.kill_at(here, after=when == "after")
    trace = await LIVES[life](world)
    assert differences(await undisturbed(life), trace) == []
    assert killed.seconds_to_resume() < RESUME_SECONDS
