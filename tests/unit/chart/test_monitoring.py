"""Alerts and dashboards ask for metrics and labels that exist; every alert has its runbook and its tests."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from anneal_operator.controllers.metrics import Metrics
from anneal_operator.controllers.queue import WorkQueue
from anneal_operator.controllers.store import Store
from anneal_trainer.exporter import Exporter

ROOT = Path(__file__).parents[3]
RULES = [rule for group in yaml.safe_load((ROOT / "charts/anneal/monitoring/rules.yaml").read_text())["groups"]
         for rule in group["rules"]]
CASES = [case for test in yaml.safe_load((ROOT / "tests/apiserver/alerts_test.yaml").read_text())["tests"]
         for case in test["alert_rule_test"]]
DASHBOARDS = sorted((ROOT / "charts/anneal/dashboards").glob("*.json"))
RUNBOOKS = ROOT / "docs" / "runbooks"
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
TARGET_LABELS = {"namespace", "pod", "job", "le"}
"""Given by the scrape or by Prometheus itself."""


class Lease:
    """What /metrics shows of one."""

    held, seconds_left = True, 1.0


def names_of(registry: CollectorRegistry) -> set[str]:
    return {family.name + suffix for family in registry.collect() for suffix in SUFFIXES[family.type]}


def operator() -> Metrics:
    metrics = Metrics()
    metrics.watch(Store(), WorkQueue(), Lease())
    return metrics


def known() -> set[str]:
    return names_of(operator().registry) | names_of(Exporter().registry)


def labels() -> set[str]:
    found = operator()
    makers = [*vars(found).values(), *vars(found.outcomes).values()]
    return {name for maker in makers for name in getattr(maker, "_labelnames", ())} | {"kind", "phase"} | TARGET_LABELS


def queries() -> list[tuple[str, str]]:
    """(where, PromQL) of all rules and panels."""
    boards: list[dict[str, Any]] = [json.loads(path.read_text()) for path in DASHBOARDS]
    return [*((rule["alert"], rule["expr"]) for rule in RULES),
            *((f"{board['title']}: {panel['title']}", target["expr"])
              for board in boards for panel in board["panels"] for target in panel["targets"])]


@pytest.mark.parametrize(("where", "query"), queries())
def test_every_metric_and_label_that_is_asked_for_exists(where: str, query: str) -> None:
    wanted = set(re.findall(r"\banneal_\w+", query))
    assert wanted
    assert wanted <= known()
    named = {label.strip() for group in re.findall(r"\bby \(([^)]*)\)", query) for label in group.split(",")}
    named |= set(re.findall(r'(\w+)=~?"', query))
    assert named <= labels()


def test_every_metric_is_on_a_dashboard() -> None:
    asked = " ".join(query for where, query in queries() if ":" in where)
    assert {name for name in known() if not name.endswith(("_sum", "_count"))} - set(re.findall(r"\w+", asked)) == set()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_has_a_runbook_and_fires_and_is_silent_in_tests(rule: dict[str, Any]) -> None:
    name = rule["alert"]
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"
    text = (RUNBOOKS / f"{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"^## (\w+)$", text, re.MULTILINE) == ["Look", "Fix"]
    outcomes = {bool(case["exp_alerts"]) for case in CASES if case["alertname"] == name}
    assert outcomes == {True, False}


def test_there_is_no_runbook_without_an_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} - {"index"} == {rule["alert"] for rule in RULES}


def test_metrics_that_runbooks_speak_of_exist() -> None:
    for path in RUNBOOKS.glob("*.md"):
        said = set(re.findall(r"\banneal_\w+", path.read_text()))
        assert {name for name in said if not any(k.startswith(name) for k in known())} == set()


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_lie_side_by_side_and_never_on_each_other(path: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(path.read_text())["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
