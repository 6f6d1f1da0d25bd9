"""Every field mutated: the API server says which, or the operator makes something of it."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from anneal_api.conditions import Reason
from anneal_api.crd import FINE_TUNE_JOB, KINDS, MODEL_DEPLOYMENT, Kind, schema
from anneal_operator.decide import finetunejob, modeldeployment
from anneal_operator.decide.facts import Children, Facts, Found
from tests.factories import SETTINGS, START, UID
from tests.mutations import Mutation, mutations
from tests.rig.api import Api, ApiError, Object, condition, path_of
from tests.rig.operator import Operator
from tests.rig.world import claim_of
from tests.rig.world import finetunejob as plain_job
from tests.unit.api.test_effects import DECIDED, children_of_deployment, children_of_run

EXAMPLES = Path(__file__).parent / "examples" / "good"
BASES = {FINE_TUNE_JOB.kind: ("every-field.yaml",), MODEL_DEPLOYMENT.kind: (
    "deployment-every-field.yaml", "deployment-of-a-job.yaml")}
BRAINS: dict[str, Any] = {FINE_TUNE_JOB.kind: finetunejob, MODEL_DEPLOYMENT.kind: modeldeployment}
AT_ONCE = 16

pytestmark = pytest.mark.apiserver


def cases(kind: Kind) -> list[tuple[Mutation, Object]]:
    """Each mutation with the resource that has it."""
    found = mutations(schema(kind)["properties"]["spec"])
    return [(each, {"apiVersion": "anneal.dev/v1alpha1", "kind": kind.kind, "spec": each.apply(base(kind, each))})
            for each in found]


def base(kind: Kind, mutation: Mutation) -> Object:
    """The example that has the field, and does something."""
    name = BASES[kind.kind][-1 if mutation.path.startswith("model.fineTuneJobRef") else 0]
    spec: Object = yaml.safe_load((EXAMPLES / name).read_text())["spec"]
    return {**spec, "suspend": False} if "suspend" in spec else spec


async def ask(api: Api, resource: Object, name: str, *, dry: bool) -> Object | ApiError:
    body = {**resource, "metadata": {"name": name}}
    extra = {"dryRun": "All"} if dry else {}
    try:
        return await api.call("POST", path_of(resource["kind"], "default" if dry else "mutated"), body,
                              fieldValidation="Strict", **extra)
    except ApiError as error:
        return error


async def ask_all(api: Api, found: list[tuple[Mutation, Object]], prefix: str, *, dry: bool) -> list[Object | ApiError]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, resource: Object) -> Object | ApiError:
        async with gate:
            return await ask(api, resource, f"{prefix}-{number}", dry=dry)

    return list(await asyncio.gather(*(one(n, resource) for n, (_, resource) in enumerate(found))))


def names(message: str, path: str) -> bool:
    """Does the error say which field is wrong? A rule between fields names their parent."""
    field = path.replace("[]", "")
    parts = field.split(".")
    wanted = [field, field.rsplit(".", 1)[0], ".".join(parts[-2:]), parts[-1]]
    plain = re.sub(r'\[(\d+|"[^"]*")\]', "", message)
    return any(text in plain for text in wanted)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
async def test_a_mutated_field_is_refused_by_name_or_decided_about(api: Api, kind: Kind) -> None:
    found = cases(kind)
    answers = await ask_all(api, found, "m", dry=True)
    unnamed, unknown, inert, refused = [], [], [], 0
    for (mutation, _), answer in zip(found, answers, strict=True):
        if isinstance(answer, ApiError):
            refused += 1
            assert answer.status in (400, 422), f"{mutation}: {answer}"
            if not names(json.loads(answer.body)["message"], mutation.path):
                unnamed.append(f"{mutation}: {answer.body}")
        elif why := undecided(answer):
            unknown.append(f"{mutation}: {why}")
        elif not has_effect(kind, mutation, answer["spec"]):
            inert.append(str(mutation))
    assert unnamed == []
    assert unknown == []
    assert inert == []
    assert refused > len(found) / 2
    assert len(found) - refused > len(found) / 10


def has_effect(kind: Kind, mutation: Mutation, spec: Object) -> bool:
    """Does the change, if it is one, change a child?"""
    before, after = (kind.spec.model_validate(one).to_wire() for one in (base(kind, mutation), spec))
    children = children_of_run if kind is FINE_TUNE_JOB else children_of_deployment
    exempt = mutation.path in DECIDED[kind.kind]
    return before == after or exempt or children(before) != children(after)


def undecided(resource: Object) -> str:
    """What goes wrong when the operator decides about what the API server has let pass; empty when nothing does."""
    brain = BRAINS[resource["kind"]]
    resource = {**resource, "metadata": {**resource["metadata"], "uid": UID, "namespace": "team"}}
    for _ in range(4):
        try:
            asked = brain.needs(resource, Children(), START)
            found = Found(claims={name: {} for name in asked.claims},
                          config_maps={name: {"data": {"support.jinja": "x"}} for name in asked.config_maps})
            plan = brain.plan(Facts(resource, Children(), found), START, SETTINGS)
        except Exception as error:
            return repr(error)
        resource = {**resource, "status": json.loads(json.dumps(plan.status))}
    reason = condition(resource, "Ready").get("reason")
    return str(reason) if reason == Reason.UNSUPPORTED_SPEC else ""


@pytest.fixture
async def mutated(kubeconfig: Path, api: Api, tmp_path: Path) -> AsyncIterator[Operator]:
    """A namespace of its own, with the claims that the examples name, and the real operator."""
    await api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mutated"}})
    for claim in ("models", "data"):
        await api.create(claim_of(claim), "mutated")
    await api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "templates"},
                      "data": {"support.jinja": "x"}}, "mutated")
    operator = Operator(kubeconfig, tmp_path / "log", ANNEAL_NAMESPACE="mutated", ANNEAL_WATCH_NAMESPACES="mutated")
    operator.start()
    try:
        yield operator
    finally:
        operator.kill()
        await api.delete("Namespace", "", "mutated")


def reaches_a_child(case: tuple[Mutation, Object]) -> bool:
    """Numbers and choices only reach the run's file; names, amounts and labels are what the cluster may refuse."""
    mutation, _ = case
    return isinstance(mutation.value, str | dict | list) and "toggled" not in mutation.what


def reported(resource: Object) -> bool:
    status = resource.get("status", {})
    return bool(status.get("observedGeneration")) and condition(resource, "Ready").get("reason") != "Accepted"


async def test_what_is_accepted_is_reported_on_and_holds_up_nobody(api: Api, mutated: Operator) -> None:
    made = []
    for kind in KINDS:
        answers = await ask_all(api, list(filter(reaches_a_child, cases(kind))), kind.short_names[0], dry=False)
        made += [answer for answer in answers if not isinstance(answer, ApiError)]
    assert len(made) > 50
    await api.create(plain_job("last"), "mutated")
    last = await api.until("FineTuneJob", "mutated", "last", reported, timeout=60)
    assert condition(last, "Ready")["reason"] == "Running"
    for resource in made:
        seen = await api.until(resource["kind"], "mutated", resource["metadata"]["name"], reported, timeout=60)
        ready = condition(seen, "Ready")
        assert ready["reason"] in set(Reason) - {Reason.UNSUPPORTED_SPEC}, ready
        assert ready["message"]
    text = mutated.text()
    assert "Traceback" not in text
    assert "nobody thought of" not in text
