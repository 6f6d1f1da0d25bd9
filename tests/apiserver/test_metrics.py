"""A real Prometheus scrapes the real operator, and what a train pod shows; its rules and dashboards work on that."""

import json
import shutil
import subprocess
from pathlib import Path

import aiohttp
import pytest

from anneal_api.run import Progress
from anneal_trainer.exporter import Exporter
from tests.apiserver.conftest import Place
from tests.rig.operator import ROOT, Operator
from tests.rig.prometheus import Prometheus, need
from tests.rig.world import claim_of

pytestmark = pytest.mark.apiserver


async def test_prometheus_reads_the_operator(place: Place, kubeconfig: Path, tmp_path: Path) -> None:
    for name in ("models", "data"):
        await place.api.create(claim_of(name), place.namespace)
    operator = Operator(kubeconfig, tmp_path / "operator.log", ANNEAL_NAMESPACE=place.namespace,
                        ANNEAL_WATCH_NAMESPACES=place.namespace)
    place.stack.callback(operator.kill)
    operator.start()
    await place.create("FineTuneJob", "support")
    async with Prometheus(tmp_path, operator=operator.port) as prometheus:
        assert await prometheus.until('anneal_resources{kind="FineTuneJob",phase="Preparing"} == 1')
        for query in (
            'up{job="operator"} == 1',
            "anneal_lease_held == 1",
            "anneal_lease_seconds_left > 0",
            'anneal_reconcile_total{kind="FineTuneJob"} > 0',
            'anneal_reconcile_seconds_count{kind="FineTuneJob"} > 0',
            "anneal_loop_lag_seconds_count > 1",
            'anneal_api_writes_total{verb="create",kind="Job",status="201"} == 1',
            'sum(anneal_api_reads_total{status="200"}) > 0',
        ):
            assert await prometheus.until(query), query
        groups = (await prometheus.get("rules"))["groups"]
        assert {rule["health"] for group in groups for rule in group["rules"]} <= {"ok", "unknown"}
        assert [rule["name"] for group in groups for rule in group["rules"] if rule["state"] == "firing"] == []
        for board in (ROOT / "charts" / "anneal" / "dashboards").glob("*.json"):
            for panel in json.loads(board.read_text())["panels"]:
                for target in panel["targets"]:  # every one is PromQL that this Prometheus accepts
                    await prometheus.samples(target["expr"].replace("$__rate_interval", "1m"))
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{operator.port}/metrics") as page:
        lint(await page.text())


async def test_prometheus_reads_a_train_pod(tmp_path: Path) -> None:
    exporter = Exporter()
    exporter.show(Progress(step=3, total_steps=9, epoch=1.0, loss=1.5, time="2026-01-05T10:00:00Z"))
    async with Prometheus(tmp_path, train=exporter.serve(0)) as prometheus:
        assert (await prometheus.until("anneal_train_step / anneal_train_steps"))[0][1] == pytest.approx(1 / 3)
        assert await prometheus.until("anneal_train_loss == 1.5")
        stalled = (await prometheus.until('ALERTS{alertname="AnnealTrainingStalled"}'))[0][0]
        assert stalled["alertstate"] == "firing"


def lint(page: str) -> None:
    """What Prometheus's own linter says of a page of metrics."""
    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_when_it_should_and_else_is_silent(tmp_path: Path) -> None:
    need()
    shutil.copy(ROOT / "charts" / "anneal" / "monitoring" / "rules.yaml", tmp_path)
    shutil.copy(Path(__file__).with_name("alerts_test.yaml"), tmp_path)
    done = subprocess.run(["promtool", "test", "rules", "alerts_test.yaml"], cwd=tmp_path, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
