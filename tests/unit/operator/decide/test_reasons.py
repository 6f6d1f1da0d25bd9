"""Every Reason can be provoked, and says what the reference says it does."""

from collections.abc import Iterator

import pytest

from anneal_api.conditions import REASONS, Reason
from anneal_api.signs import SIGNS
from tests.unit.operator.decide.scenarios import SCENARIOS
from tests.unit.operator.decide.world import World


def said(world: World, reason: Reason) -> Iterator[str]:
    """Messages with this reason in any status that was written and in Events."""
    for status in world.statuses:
        for entry in (*status["conditions"], *status.get("stages", ())):
            if entry.get("reason") == reason:
                yield str(entry.get("message", ""))
    yield from (event.message for event in world.events if event.reason == reason)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_can_be_provoked_and_looks_as_documented(reason: Reason) -> None:
    assert reason in SCENARIOS, "a new reason needs a scenario, and a sign in anneal_api/signs.py"
    messages = list(said(SCENARIOS[reason](), reason))
    assert messages
    assert any(SIGNS[reason] in message for message in messages), messages


@pytest.mark.parametrize("reason", [reason for reason in Reason if REASONS[reason].terminal])
def test_what_no_retry_changes_ends_the_run_and_says_what_to_do(reason: Reason) -> None:
    world = SCENARIOS[reason]()
    stalled = world.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", reason)
    assert "Fix: " in stalled["message"]
    attempts = [name for name in world.job_names() if name.startswith("train-")]
    assert len(attempts) <= 1 or reason is Reason.TOO_MANY_DISRUPTIONS
