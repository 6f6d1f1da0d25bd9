"""Storage and sudden death with real pods: what is killed, what is damaged or changed, a full disk.

The tests run on the node itself, so they reach into a volume and at a container's process as a broken disk would.
"""

import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from anneal_api.run import RUN_FILE
from anneal_api.serve import SERVE_FILE
from anneal_localcluster import processes
from anneal_localcluster.settings import NODE_NAME, Folders
from anneal_localcluster.shell import run
from tests.e2e.conftest import CLAIM, finetunejob, modeldeployment
from tests.e2e.test_failures import reason
from tests.e2e.test_runs import ready, resumed_from, stage
from tests.e2e.test_serving import deployed
from tests.rig.api import Api, Object, condition

pytestmark = pytest.mark.e2e

OFTEN = {
    "epochs": 40,
    "batchSize": 4,
    "gradientAccumulation": 1,
    "learningRate": 0.001,
    "loggingSteps": 5,
    "checkpoint": {"every": "steps", "steps": 20, "keep": 3},
}
DISK = "small-disk"
MIB = 1 << 20


async def training(api: Api, space: str, name: str, step: int) -> Object:
    """The FineTuneJob once training has passed this step."""
    return await api.until(
        "FineTuneJob", space, name, lambda r: r.get("status", {}).get("progress", {}).get("step", 0) >= step, 180
    )


async def workspace(api: Api, space: str, uid: str) -> Path:
    """The run's workspace, as a folder of this machine."""
    (claim,) = await api.list("PersistentVolumeClaim", space, f"anneal.dev/uid={uid}")
    return await folder_of(api, claim)


async def folder_of(api: Api, claim: Object) -> Path:
    """A claim's volume, as a folder of this machine."""
    volume = await api.get("PersistentVolume", "", claim["spec"]["volumeName"])
    return Path(volume["spec"]["local"]["path"])


def checkpoints(folder: Path) -> list[Path]:
    """Whole checkpoints, oldest first."""
    found = [seal.parent for seal in folder.glob("checkpoints/*/checkpoint-*/sealed.json")]
    return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))


def process_of(spec_file: str, word: str, *command: bytes) -> processes.Running:
    """The process with this in its command whose spec, read through its container's own root, holds the word."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            ours = set(command) <= set((entry / "cmdline").read_bytes().split(b"\0"))
            if ours and word in (entry / f"root{spec_file}").read_text():
                started = processes.start_time(int(entry.name))
                assert started is not None
                return processes.Running(int(entry.name), started)
        except OSError:
            continue
    raise AssertionError(f"no process with {command} of {word} runs on this machine")


async def test_a_trainer_that_is_killed_goes_on_in_the_next_attempt_from_its_checkpoint(api: Api, space: str) -> None:
    """No memory limit was hit and nobody evicted the pod: the exit code 137 alone must not be taken for either."""
    await api.create(finetunejob("killed", training=OFTEN))
    uid = (await training(api, space, "killed", 45))["metadata"]["uid"]
    processes.stop([process_of(RUN_FILE, uid, b"anneal_trainer", b"train")], first=signal.SIGKILL)
    done = await api.until("FineTuneJob", space, "killed", ready, 240)
    assert (stage(done, "train")["attempt"], stage(done, "train").get("disruptions", 0)) == (1, 0)
    assert await resumed_from(api, space, uid) >= 40
    await api.delete("FineTuneJob", space, "killed")


async def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(api: Api, space: str) -> None:
    """F22: the newest file is cut in half, and beside it lies a newer folder that was never finished."""
    await api.create(finetunejob("damaged", training=OFTEN))
    await training(api, space, "damaged", 65)
    await api.patch("FineTuneJob", space, "damaged", {"spec": {"suspend": True}})
    held = await api.until("FineTuneJob", space, "damaged", reason("Ready", "Suspended"), 120)
    uid = held["metadata"]["uid"]
    *_, before, newest = checkpoints(await workspace(api, space, uid))
    weights = newest / "adapter_model.safetensors"
    with weights.open("r+b") as file:
        file.truncate(weights.stat().st_size // 2)
    (newest.parent / "checkpoint-99999").mkdir()
    await api.patch("FineTuneJob", space, "damaged", {"spec": {"suspend": False}})
    await api.until("FineTuneJob", space, "damaged", ready, 240)
    assert await resumed_from(api, space, uid) == int(before.name.rpartition("-")[2])
    await api.delete("FineTuneJob", space, "damaged")


async def test_a_server_that_is_killed_does_not_come_back_with_other_files(api: Api, space: str) -> None:
    """Each start checks every file, not the first alone; and when the files are right again, it serves by itself."""
    folder = await folder_of(api, await api.get("PersistentVolumeClaim", space, CLAIM))
    shutil.copytree(folder / "tiny", folder / "changed")
    for path in (folder / "changed").iterdir():
        owner = (folder / "tiny" / path.name).stat()
        os.chown(path, owner.st_uid, owner.st_gid)
    uri, weights = f"pvc://{CLAIM}/changed", folder / "changed" / "model.safetensors"
    made = modeldeployment("changed", model={"uri": uri}, engine={"type": "transformers", "maxModelLen": 128},
                           resources={"cpu": "500m", "memory": "2Gi"})
    async with deployed(api, made):
        await api.until("ModelDeployment", space, "changed", ready, 180)
        pinned = weights.read_bytes()
        weights.write_bytes(pinned[:-1] + bytes([pinned[-1] ^ 1]))
        processes.stop([process_of(SERVE_FILE, uri, b"anneal_server.inference")], first=signal.SIGKILL)
        found = await api.until("ModelDeployment", space, "changed", reason("Ready", "ArtifactInvalid"), 120)
        assert condition(found, "ArtifactVerified")["status"] == "False"
        assert condition(found, "Available")["status"] == "False"
        message = condition(found, "Ready")["message"]
        assert uri in message
        assert "a file was changed, added or removed" in message

        weights.write_bytes(pinned)
        found = await api.until("ModelDeployment", space, "changed", reason("Ready", "Serving"), 180)
        assert condition(found, "ArtifactVerified")["status"] == "True"
        assert condition(found, "Stalled") == {}


async def test_a_disk_that_fills_up_in_training_is_named_and_the_last_checkpoint_stays(api: Api, space: str) -> None:
    """F23: a workspace of 100 MiB, taken by somebody else when training is under way."""
    async with small_disk(api, 100) as disk:
        job = finetunejob("full-disk", training=OFTEN, workspace={"size": "50Mi", "storageClassName": DISK})
        await api.create(job)
        await training(api, space, "full-disk", 45)
        fill(disk / "filler")
        found = await api.until("FineTuneJob", space, "full-disk", reason("Ready", "DiskFull"), 120)
        assert condition(found, "Stalled")["status"] == "True"
        assert "no space left on volume /workspace" in condition(found, "Ready")["message"]
        assert "Fix: raise workspace.size" in condition(found, "Ready")["message"]
        assert checkpoints(disk)
        await api.delete("FineTuneJob", space, "full-disk")
        uid = found["metadata"]["uid"]
        claim = f"anneal.dev/uid={uid}"
        for left in await api.list("PersistentVolumeClaim", space, claim):
            await api.until("PersistentVolumeClaim", space, left["metadata"]["name"], lambda gone: not gone, 60)


def fill(path: Path) -> None:
    """Write until nothing more fits."""
    full = pytest.raises(OSError, match="No space left on device")
    with Path("/dev/zero").open("rb") as zeros, path.open("wb", buffering=0) as file, full:
        shutil.copyfileobj(zeros, file, MIB)


@asynccontextmanager
async def small_disk(api: Api, mebibytes: int) -> AsyncIterator[Path]:
    """A volume that is a file system of its own, as on a real disk; where `down` would find and unmount it, too."""
    folder = Folders().volumes / DISK
    folder.mkdir(parents=True)
    run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0777", "tmpfs", str(folder)])
    try:
        await api.create(_volume(folder, mebibytes))
        yield folder
    finally:
        # Protected as long as a claim has it, it goes with the claim.
        await api.delete("PersistentVolume", "", DISK)
        run(["umount", "--lazy", str(folder)])
        folder.rmdir()


def _volume(folder: Path, mebibytes: int) -> Object:
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE_NAME]}
    spec = {
        "capacity": {"storage": f"{mebibytes}Mi"},
        "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": DISK,
        "local": {"path": str(folder)},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": DISK}, "spec": spec}
