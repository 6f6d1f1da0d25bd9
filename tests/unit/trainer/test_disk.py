"""Room on the workspace, before training begins."""

from pathlib import Path

import pytest

from anneal_trainer import disk
from anneal_trainer.errors import DiskFull
from anneal_trainer.places import Places
from tests.unit.trainer.test_base_model import base
from tests.unit.trainer.test_run_hash import run


def test_a_workspace_that_is_too_small_is_refused_with_the_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = run(tmp_path, method={"type": "full"})
    places = Places(workspace=tmp_path)
    disk.check_workspace(base(), spec.method, spec.training, places)

    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1 << 20}))
    with pytest.raises(DiskFull, match=r"has 0\.00 GiB free; 2 checkpoints and the result need about 0\.06 GiB"):
        disk.check_workspace(base(), spec.method, spec.training, places)


def test_an_adapter_counts_its_own_weights_only(tmp_path: Path) -> None:
    spec = run(tmp_path, method={"type": "lora", "lora": {"rank": 2, "targetModules": ["q_proj"]}})

    assert disk.trained_weights(base(), spec.method) == 2 * (8 + 8)
