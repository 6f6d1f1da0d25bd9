"""The end-to-end rig: the local cluster that `make demo` left up, with the operator installed by its chart.

Everything is real: kubelet, containerd, pods, torch, vLLM. Tests share one namespace that enforces Pod Security
*restricted*, and one claim with a tiny model, so that a whole run takes seconds.
"""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rig.api import Api, Object

ROOT = Path(__file__).parents[2]
NAMESPACE = "anneal-e2e"
CLAIM = "e2e"


def output(*argv: str) -> str:
    done = subprocess.run(argv, check=True, capture_output=True, text=True, cwd=ROOT)
    return done.stdout.strip()


@pytest.fixture(scope="session")
def kubeconfig() -> Path:
    path = Path(output("python3", "-m", "anneal_localcluster", "kubeconfig"))
    assert path.exists(), "the local cluster is not up; run `make demo` first, or `make test`, which does all"
    return path


@pytest.fixture(scope="session")
def environment(kubeconfig: Path) -> dict[str, str]:
    """For kubectl, helm and anneal as child processes."""
    tools = output("python3", "-m", "anneal_localcluster", "tools")
    path = f"{ROOT / 'build' / 'bin'}{os.pathsep}{tools}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "KUBECONFIG": str(kubeconfig)}


@pytest.fixture(scope="session")
def images() -> dict[str, str]:
    tags: dict[str, str] = json.loads(output("python3", "-m", "anneal_localcluster_images", "tags"))
    return tags


@pytest.fixture
async def api(kubeconfig: Path) -> AsyncIterator[Api]:
    async with Api(kubeconfig) as client:
        yield client


@pytest.fixture(scope="session")
def space(kubeconfig: Path, images: dict[str, str]) -> Iterator[str]:
    """The namespace, with the tiny model in its claim."""
    asyncio.run(_prepare(kubeconfig, images))
    yield NAMESPACE
    asyncio.run(_remove(kubeconfig))


async def _prepare(kubeconfig: Path, images: dict[str, str]) -> None:
    async with Api(kubeconfig) as api:
        await _delete_namespace(api)
        enforce = {"pod-security.kubernetes.io/enforce": "restricted"}
        await api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": enforce}})
        await api.create(_claim())
        script = (Path(__file__).parent / "seed_tiny.py").read_text()
        await api.create(_object("v1", "ConfigMap", "seed-script", data={"seed_tiny.py": script}))
        await api.create(_seed_job(images["trainer"]))
        done = await api.until("Job", NAMESPACE, "seed", _ended, timeout=180)
        assert done["status"].get("succeeded"), done["status"]


async def _remove(kubeconfig: Path) -> None:
    async with Api(kubeconfig) as api:
        await _delete_namespace(api)


async def _delete_namespace(api: Api) -> None:
    await api.delete("Namespace", "", NAMESPACE)
    await api.until("Namespace", "", NAMESPACE, lambda found: not found, timeout=180)


def _ended(job: Object) -> bool:
    return bool(job) and bool(job.get("status", {}).get("succeeded") or job.get("status", {}).get("failed"))


def _object(api_version: str, kind: str, name: str, **fields: Any) -> Object:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, **fields}


def _claim() -> Object:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}}
    return _object("v1", "PersistentVolumeClaim", CLAIM, spec=spec)


def _seed_job(image: str) -> Object:
    container = {
        "name": "seed",
        "image": image,
        "command": ["python3", "/script/seed_tiny.py", "/claim"],
        "env": [{"name": "HOME", "value": "/tmp"}],
        "volumeMounts": [
            {"name": "claim", "mountPath": "/claim"},
            {"name": "script", "mountPath": "/script"},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod = {
        "restartPolicy": "Never",
        "containers": [container],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": [
            {"name": "claim", "persistentVolumeClaim": {"claimName": CLAIM}},
            {"name": "script", "configMap": {"name": "seed-script"}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }
    return _object("batch/v1", "Job", "seed", spec={"backoffLimit": 0, "template": {"spec": pod}})


def finetunejob(name: str, **changes: Any) -> Object:
    """A FineTuneJob on the tiny model; top-level spec fields may be replaced."""
    spec = {
        "model": {"uri": f"pvc://{CLAIM}/tiny"},
        "dataset": {"uri": f"pvc://{CLAIM}/data/rows.jsonl", "split": {"validation": 0.05, "test": 0}},
        "training": {"epochs": 2, "batchSize": 8, "gradientAccumulation": 1, "learningRate": 0.01, "loggingSteps": 5},
        "output": {"uri": f"pvc://{CLAIM}/out/{name}"},
        "resources": {"cpu": "1", "memory": "2Gi"},
        "workspace": {"size": "1Gi"},
        **changes,
    }
    return {
        "apiVersion": "anneal.dev/v1alpha1",
        "kind": "FineTuneJob",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }


def modeldeployment(name: str, **changes: Any) -> Object:
    """A ModelDeployment that fits beside the demo's."""
    spec = {"engine": {"maxModelLen": 256}, "resources": {"cpu": "1", "memory": "4Gi"}, **changes}
    return {
        "apiVersion": "anneal.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }
