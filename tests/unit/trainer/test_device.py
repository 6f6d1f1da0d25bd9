"""How many CPUs a container may use, from real files of both cgroup versions."""

import os
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the torch stack: run by `make test-trainer`")

from anneal_trainer.device import allowed_cpus, choose_precision
from anneal_trainer.errors import BadConfig

pytestmark = pytest.mark.torch


@pytest.mark.parametrize(
    ("content", "cpus"),
    [("max 100000", 64), ("200000 100000", 2), ("180000 100000", 2), ("50000 100000", 1), ("nonsense", 64)],
)
def test_version_2(content: str, cpus: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(64))
    (tmp_path / "cpu.max").write_text(content)

    assert allowed_cpus(tmp_path) == cpus


@pytest.mark.parametrize(("quota", "cpus"), [("-1", 64), ("400000", 4), ("150000", 2)])
def test_version_1(quota: str, cpus: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(64))
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000")

    assert allowed_cpus(tmp_path) == cpus


def test_without_a_limit_all_cpus_are_used(tmp_path: Path) -> None:
    assert allowed_cpus(tmp_path) == len(os.sched_getaffinity(0))


def test_fp16_on_a_cpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)

    with pytest.raises(BadConfig, match=r"training\.precision is fp16, which needs a GPU"):
        choose_precision("fp16")
    assert choose_precision("fp32") == "fp32"
    assert choose_precision("auto") in ("bf16", "fp32")
