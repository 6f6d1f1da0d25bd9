"""Tools that wait for our kinds, on a real API server: kubectl wait, and Helm's --wait, which is Flux's kstatus."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
import yaml

from anneal_localcluster import build
from tests.kstatus import kstatus
from tests.rig.api import Object, condition
from tests.rig.player import End, default_script
from tests.rig.world import World, finetunejob, modeldeployment

pytestmark = pytest.mark.apiserver

LONG, SHORT = 60, 5
_numbers = count()


@dataclass(frozen=True)
class Answer:
    code: int
    text: str
    seconds: float


async def tool(world: World, kubeconfig: Path, name: str, *arguments: str) -> Answer:
    """Run kubectl or helm as a user would."""
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        str(build.tool_folder() / name), "--kubeconfig", str(kubeconfig), "--namespace", world.namespace, *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    text, _ = await process.communicate()
    assert process.returncode is not None
    return Answer(process.returncode, text.decode(), time.monotonic() - began)


def script(pod: Object) -> End:
    """Resources called `bad` have bad data, and their servers crash; those called `slow` do not end."""
    name = pod["metadata"]["labels"].get("anneal.dev/name", "")
    if name.startswith("bad"):
        return End(11, json.dumps({"message": "rows.jsonl:17 is no JSON"}))
    return End(None) if name.startswith("slow") else default_script(pod)


@pytest.fixture
async def world(kubeconfig: Path, tmp_path: Path) -> AsyncIterator[World]:
    made = World(kubeconfig, f"kstatus-{next(_numbers)}", tmp_path)
    made.player.nodes, made.player.script = 1, script
    async with made:
        made.operator.start()
        yield made


def release(folder: Path, *resources: Object) -> Path:
    """A chart with these resources: what a GitOps tool would install."""
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text(yaml.safe_dump({"apiVersion": "v2", "name": folder.name, "version": "1.0.0"}))
    for resource in resources:
        path = folder / "templates" / f"{resource['kind']}-{resource['metadata']['name']}.yaml"
        path.write_text(yaml.safe_dump(resource))
    return folder


async def install(world: World, kubeconfig: Path, chart: Path, seconds: int) -> Answer:
    return await tool(world, kubeconfig, "helm", "install", chart.name, str(chart), "--wait", f"--timeout={seconds}s")


async def test_generic_tools_wait_for_both_kinds_and_see_failures_at_once(
    world: World, kubeconfig: Path, tmp_path: Path,
) -> None:
    follows = modeldeployment("good", model={"fineTuneJobRef": {"name": "good"}})
    charts = tmp_path / "charts"
    good, bad, slow, held = await asyncio.gather(
        install(world, kubeconfig, release(charts / "good", finetunejob("good"), follows), LONG),
        install(world, kubeconfig, release(charts / "bad", finetunejob("bad")), LONG),
        install(world, kubeconfig, release(charts / "slow", finetunejob("slow")), SHORT),
        install(world, kubeconfig, release(charts / "held", finetunejob("held", suspend=True)), SHORT))
    assert good.code == 0, good.text
    for kind in ("FineTuneJob", "ModelDeployment"):
        resource = await world.api.get(kind, world.namespace, "good")
        assert (condition(resource, "Ready")["status"], kstatus(resource)) == ("True", "Current")
    assert bad.code != 0
    assert "Failed" in bad.text, "Helm gives up when it sees Stalled, and says so"
    assert bad.seconds < LONG / 2
    for waiting in (slow, held):
        assert waiting.code != 0
        assert "InProgress" in waiting.text, waiting.text
    waits = await asyncio.gather(
        tool(world, kubeconfig, "kubectl", "wait", "--for=condition=Ready", "ftj/good", "mdep/good", "--timeout=10s"),
        tool(world, kubeconfig, "kubectl", "wait", "--for=condition=Stalled", "ftj/bad", "--timeout=10s"),
        tool(world, kubeconfig, "kubectl", "wait", "--for=condition=Ready", "ftj/slow", "--timeout=1s"))
    assert [answer.code == 0 for answer in waits] == [True, True, False]


@pytest.mark.parametrize("make", [finetunejob, modeldeployment])
async def test_what_no_operator_has_seen_is_in_progress(world: World, make: Callable[[str], Object]) -> None:
    # To kstatus a resource without a status is Current, and a tool would go on too early.
    world.operator.kill()
    made = await world.api.create(make("unseen"), world.namespace)
    assert kstatus(made) == "InProgress"
