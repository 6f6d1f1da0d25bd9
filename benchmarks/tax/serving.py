"""Apply to first token: a ModelDeployment, and the engine in a Deployment of one's own."""

import asyncio
import json
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.tax.cluster import no_pods, pod_that, ready
from benchmarks.tax.copying import LABEL, Manifest, raw_server
from tests.rig.api import Api, Object, condition

NAME, HAND = "tax", "hand-serve"
OURS = f"anneal.dev/kind=ModelDeployment,anneal.dev/name={NAME}"
PORT = 8000
WAIT = 600
SCRIPT = (Path(__file__).parent / "engine_command.py").read_text()


def modeldeployment(job: str) -> Manifest:
    """What serves the demo's result."""
    return {
        "apiVersion": "anneal.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": NAME},
        "spec": {"model": {"fineTuneJobRef": {"name": job}}, "engine": {"maxModelLen": 512},
                 "resources": {"cpu": "900m", "memory": "6Gi"}},
    }


SERVICE: Manifest = {
    "apiVersion": "v1", "kind": "Service", "metadata": {"name": HAND, "labels": {LABEL: HAND}},
    "spec": {"selector": {LABEL: HAND}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
}


@dataclass
class Serving:
    """Both sides; the hand's side runs the command that the operator's server became."""

    api: Api
    namespace: str
    job: str
    environment: Mapping[str, str]
    made: Manifest = field(default_factory=dict)

    async def ours(self) -> float:
        """Seconds from apply until a token came from a deployment that is Ready."""
        begun = time.time()
        await self.api.create(modeldeployment(self.job), self.namespace)
        await self.api.until("ModelDeployment", self.namespace, NAME, _is_ready, WAIT)
        pod = await pod_that(self.api, self.namespace, OURS, ready)
        await _first_token(pod)
        seconds = time.time() - begun
        if not self.made:
            self.made = await self._raw(pod)
        await self.api.delete("ModelDeployment", self.namespace, NAME)
        await no_pods(self.api, self.namespace, OURS)
        return seconds

    async def by_hand(self) -> float:
        """The same from a plain Deployment and Service."""
        begun = time.time()
        await self.api.create(SERVICE, self.namespace)
        await self.api.create(self.made, self.namespace)
        pod = await pod_that(self.api, self.namespace, f"{LABEL}={HAND}", ready)
        await _first_token(pod)
        seconds = time.time() - begun
        await self.api.delete("Deployment", self.namespace, HAND, propagationPolicy="Background")
        await self.api.delete("Service", self.namespace, HAND)
        await no_pods(self.api, self.namespace, f"{LABEL}={HAND}")
        return seconds

    async def _raw(self, pod: Object) -> Manifest:
        deployments = await self.api.list("Deployment", self.namespace, OURS)
        command = deployments[0]["spec"]["template"]["spec"]["containers"][0]["command"]
        found = json.loads(self._run(pod, "python", "-c", SCRIPT, *arguments(command)).splitlines()[-1])
        return raw_server(deployments[0], found["argv"], found["env"], HAND)

    def _run(self, pod: Object, *command: str) -> str:
        argv = ["kubectl", "exec", "--namespace", self.namespace, pod["metadata"]["name"], "--container", "server",
                "--", *command]
        return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True, env=dict(self.environment)).stdout


def arguments(command: list[str]) -> list[str]:
    """What follows the module's name in `python -m anneal_server serve --spec FILE`."""
    return command[command.index("anneal_server") + 1 :]


def _is_ready(resource: Object) -> bool:
    stalled = condition(resource, "Stalled")
    assert stalled.get("status") != "True", stalled
    return condition(resource, "Ready").get("status") == "True"


async def _first_token(pod: Object) -> None:
    await asyncio.to_thread(_ask, f"http://{pod['status']['podIP']}:{PORT}")


def _ask(url: str) -> None:
    """One token from the tuned model. On the local cluster pods are reached from this machine."""
    body = {"model": NAME, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1, "stream": True}
    request = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as reply:
        for line in reply:
            if line.startswith(b"data:"):
                return
    raise RuntimeError(f"{url} ended its answer without a token")
