"""What the API server sends may lack what is optional and say anything in words: no pass ends in a traceback."""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from anneal_api.conditions import Reason
from anneal_operator.decide import classify, finetunejob, modeldeployment
from anneal_operator.decide.facts import Facts, Found
from tests.factories import SETTINGS, exited, make_pod
from tests.unit.operator.decide import scenarios
from tests.unit.operator.decide.scenarios import SCENARIOS
from tests.unit.operator.decide.world import World

ROUNDS = 30
KINDS = ("Pod", "Job", "Deployment", "PersistentVolumeClaim")
WORDS = ("", " ", "{}", "[]", "null", "{name}", "\x00", "x" * 20_000, "ünïcödé\u202e", '{"message": 7}', "%s %(a)s",
         '{"artifact": {}}', '{"stage": "train", "exitCode": 0}', "[" * 10_000)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every key of every object and list inside, with what holds it."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places(value[key])


def spoil(chance: random.Random, status: Any) -> None:
    """Take something out of a status, or put strange words into it."""
    found = [(owner, key) for owner, key in places(status) if isinstance(owner, dict)]
    if not found:
        return
    owner, key = chance.choice(found)
    # What Kubernetes' schema requires is always there.
    if key in ("name", "type", "status", "exitCode", "restartCount") or isinstance(owner[key], int | bool):
        return
    if isinstance(owner[key], str) and not key.endswith(("Time", "At", "Timestamp")) and chance.random() < 0.7:
        owner[key] = chance.choice(WORDS)
    else:
        del owner[key]


@pytest.mark.parametrize("reason", Reason)
def test_no_status_of_a_child_however_odd_ends_a_pass(reason: Reason) -> None:
    world = SCENARIOS[reason]()
    chance = random.Random(str(reason))
    for _ in range(ROUNDS):
        decide(chance, world)


@pytest.mark.parametrize("code", [0, 1, 11, 137, 255])
@pytest.mark.parametrize("word", WORDS, ids=range(len(WORDS)))
def test_no_last_word_of_a_container_however_odd_is_too_much(word: str, code: int) -> None:
    verdict = classify.ended_badly(make_pod(phase="Failed", state=exited(code, word)), "trainer", "stage train", word)
    assert verdict.message.startswith("stage train")
    assert len(verdict.message) < 4096
    world = scenarios.ending(code, word)()
    assert world.status["phase"] == "Failed"


def decide(chance: random.Random, world: World) -> None:
    odd = copy.deepcopy(world)
    for kind in KINDS:
        for obj in odd.of(kind):
            for _ in range(chance.randint(0, 3)):
                spoil(chance, obj.get("status") or {})
    for event in odd.warnings:
        spoil(chance, event)
    brain: Any = finetunejob if odd.resource["kind"] == "FineTuneJob" else modeldeployment
    asked = brain.needs(odd.resource, odd.children(), odd.now)
    logs = {(request.pod, request.container): chance.choice(WORDS) for request in asked.logs}
    claims = {name: chance.choice(({}, {"metadata": {"name": name}, "spec": {}})) for name in asked.claims}
    found = Found(claims=claims, events=tuple(odd.warnings), logs=logs, fine_tune_job=odd.fine_tune_job)
    plan = brain.plan(Facts(odd.resource, odd.children(), found), odd.now, SETTINGS)
    assert len(json.dumps(plan.status or {})) < 32 * 1024
