"""The chart goes, comes back as the previous one and is upgraded, with Helm 3 and with Helm 4, while real pods work.

One run trains, and what the demo serves goes on serving: nothing is restarted, nothing is made a second time.
"""

import asyncio
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import finetunejob
from tests.e2e.test_runs import LONG
from tests.rig.api import Api, Object
from tests.rig.helm import CHART, PREVIOUS, VERSIONS, Helm

pytestmark = pytest.mark.e2e

RUN = "upgrade"
DEMO = "anneal-demo"
WAIT = ("--wait", "--timeout", "2m")


async def work(api: Api, *namespaces: str) -> dict[str, tuple[str, int]]:
    """What was made for FineTuneJobs and ModelDeployments, by name: uid, and how often containers have restarted."""
    found: dict[str, tuple[str, int]] = {}
    for namespace in namespaces:
        for kind in ("Job", "Deployment", "Service", "Pod"):
            for item in await api.list(kind, namespace, "anneal.dev/uid"):
                containers = item.get("status", {}).get("containerStatuses", [])
                restarts = sum(container["restartCount"] for container in containers)
                found[f"{kind} {namespace}/{item['metadata']['name']}"] = (item["metadata"]["uid"], restarts)
    return found


async def trained_beyond(api: Api, namespace: str, step: int) -> int:
    """The step of the run once it is greater than this one."""
    def holds(run: Object) -> bool:
        return bool(run.get("status", {}).get("progress", {}).get("step", 0) > step)

    run = await api.until("FineTuneJob", namespace, RUN, holds, 180)
    return int(run["status"]["progress"]["step"])


async def test_chart_comes_and_goes_and_nothing_that_runs_is_restarted(
    api: Api, space: str, kubeconfig: Path, tmp_path: Path,
) -> None:
    values = tmp_path / "values.yaml"
    installed = yaml.safe_load(Helm(kubeconfig).must("get", "values", "anneal", "--output", "yaml"))
    # The previous chart knows no such engine, and refuses what it does not know.
    added = ("--set-string", f"images.transformers.reference={installed['images'].pop('transformers')['reference']}")
    values.write_text(yaml.safe_dump(installed))
    await api.create(finetunejob(RUN, training={**LONG, "epochs": 1000}))
    step = await trained_beyond(api, space, 0)
    before = await work(api, space, DEMO)
    assert [name for name in before if name.startswith(f"Pod {DEMO}/")], "the demo's server is not there"
    for version in VERSIONS:
        helm = Helm(kubeconfig, version)
        await asyncio.to_thread(helm.must, "uninstall", "anneal", *WAIT)
        await asyncio.to_thread(helm.must, "install", "anneal", str(PREVIOUS), "--values", str(values), *WAIT)
        await asyncio.to_thread(helm.must, "upgrade", "anneal", str(CHART), "--reset-then-reuse-values", *added, *WAIT)
        step = await trained_beyond(api, space, step)
        after = await work(api, space, DEMO)
        assert {name: after.get(name) for name in before} == before
    await api.delete("FineTuneJob", space, RUN)
    await api.until("FineTuneJob", space, RUN, lambda found: not found, 60)
