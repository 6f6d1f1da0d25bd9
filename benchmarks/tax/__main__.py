"""What Anneal adds: apply to first step and to first token, against the same pods made by hand, in turns.

Needs the cluster that `make demo` left up; writes build/bench/tax.json. The demo's own server rests meanwhile.
"""

import argparse
import asyncio
import json
import os
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from anneal_dev.demo import NAME, NAMESPACE, tool_environment
from benchmarks import machine
from benchmarks.tax.cluster import no_pods
from benchmarks.tax.serving import Serving
from benchmarks.tax.training import Training
from tests.rig.api import Api, Object, condition

OUT = Path(__file__).resolve().parents[2] / "build" / "bench" / "tax.json"
GOALS = {"apply to first step": 1.5, "apply to first token": 2.0}
"""Seconds that the operator may add."""

Measure = Callable[[str], Awaitable[float]]


async def compare(name: str, rounds: int, ours: Measure, by_hand: Measure) -> dict[str, Any]:
    """A B A B: the operator's side first, because the other copies it."""
    seconds: dict[str, list[float]] = {"anneal": [], "by hand": []}
    for number in range(rounds):
        for side, measure in (("anneal", ours), ("by hand", by_hand)):
            seconds[side].append(round(await measure(f"{number}"), 2))
            print(f"{name:<22}{side:<9}{seconds[side][-1]:>8.2f} s", flush=True)
    added = statistics.median(seconds["anneal"]) - statistics.median(seconds["by hand"])
    return {"name": name, "seconds": seconds, "added": round(added, 2), "goal": GOALS[name]}


@asynccontextmanager
async def demo_rests(api: Api) -> AsyncIterator[None]:
    """The demo's server gives its CPU back for a while."""
    if await api.find("ModelDeployment", NAMESPACE, NAME) is None:
        raise SystemExit(f"there is no ModelDeployment {NAMESPACE}/{NAME}; run `make demo` first")
    await api.patch("ModelDeployment", NAMESPACE, NAME, {"spec": {"replicas": 0}})
    await no_pods(api, NAMESPACE, f"anneal.dev/kind=ModelDeployment,anneal.dev/name={NAME}")
    try:
        yield
    finally:
        await api.patch("ModelDeployment", NAMESPACE, NAME, {"spec": {"replicas": 1}})
        await api.until("ModelDeployment", NAMESPACE, NAME, _serves, 600)


def _serves(resource: Object) -> bool:
    ready = condition(resource, "Ready")
    return bool(ready.get("status") == "True" and ready.get("observedGeneration") == resource["metadata"]["generation"])


async def measure(rounds: int) -> list[dict[str, Any]]:
    """Both comparisons."""
    environment = {**os.environ, **tool_environment()}
    stamp = f"{int(asyncio.get_running_loop().time())}"
    async with Api(Path(environment["KUBECONFIG"])) as api, demo_rests(api):
        training, serving = Training(api, NAMESPACE), Serving(api, NAMESPACE, NAME, environment)
        return [
            await compare("apply to first step", rounds, lambda number: training.ours(f"{stamp}-{number}"),
                          lambda number: training.by_hand(f"{stamp}-{number}")),
            await compare("apply to first token", rounds, lambda _: serving.ours(), lambda _: serving.by_hand()),
        ]


def main() -> None:
    """Measure, keep, show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, required=True, help="turns of each side")
    rounds = parser.parse_args().rounds
    results = asyncio.run(measure(rounds))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    found = {"command": f"make bench-tax ROUNDS={rounds}", "machine": machine.describe(), "results": results}
    OUT.write_text(json.dumps(found, indent=2) + "\n")
    for result in results:
        verdict = "within" if result["added"] <= result["goal"] else "BEYOND"
        print(f"{result['name']}: {result['added']:+.2f} s added, {verdict} the goal of {result['goal']} s")


if __name__ == "__main__":
    main()
