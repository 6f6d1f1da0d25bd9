"""A real Prometheus scrapes the real operator, and what a train pod shows; its rules and dashboards work on that."""

import shutil
import subprocess
from pathlib import Path

import pytest

from anneal_api.run import Progress
from anneal_trainer.exporter import Exporter
from tests.rig.operator import ROOT
from tests.rig.prometheus import Prometheus, need

pytestmark = pytest.mark.apiserver


async def test_prometheus_reads_a_train_pod(tmp_path: Path) -> None:
    exporter = Exporter()
    exporter.show(Progress(step=3, total_steps=9, epoch=1.0, loss=1.5, time="2026-01-05T10:00:00Z"))
    async with Prometheus(tmp_path, train=exporter.serve(0)) as prometheus:
        assert (await prometheus.until("anneal_train_step / anneal_train_steps"))[0][1] == pytest.approx(1 / 3)
        assert await prometheus.until("anneal_train_loss == 1.5")
        stalled = (await prometheus.until('ALERTS{alertname="AnnealTrainingStalled"}'))[0][0]
        assert stalled["alertstate"] == "firing"


def test_every_alert_fires_when_it_should_and_else_is_silent(tmp_path: Path) -> None:
    need()
    shutil.copy(ROOT / "charts" / "anneal" / "monitoring" / "rules.yaml", tmp_path)
    shutil.copy(Path(__file__).with_name("alerts_test.yaml"), tmp_path)
    done = subprocess.run(["promtool", "test", "rules", "alerts_test.yaml"], cwd=tmp_path, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
