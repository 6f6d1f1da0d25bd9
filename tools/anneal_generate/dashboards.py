"""The chart's two Grafana dashboards: what the operator does, and how runs and deployments go."""

from dataclasses import dataclass
from typing import Any

from anneal_generate.text import json_file

WIDTH, HEIGHT = 24, 8
SOURCE = {"type": "prometheus", "uid": "${source}"}


@dataclass(frozen=True)
class Panel:
    """One diagram: lines of (legend, query). `width` is a share of 24."""

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 12
    help: str = ""


def files() -> dict[str, str]:
    """Both, as Grafana imports them."""
    boards = {
        "operator": _board("anneal-operator", "Anneal / Operator", OPERATOR),
        "runs": _board("anneal-runs", "Anneal / Runs and deployments", RUNS),
    }
    return {f"charts/anneal/dashboards/{name}.json": json_file(board) for name, board in boards.items()}


def _quantile(q: float, metric: str, by: str = "") -> str:
    labels = ", ".join(label for label in ("le", by) if label)
    return f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket[$__rate_interval])))"


def _rate(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}[$__rate_interval]))"


OPERATOR = (
    Panel("Writers", (("holds the Lease", "sum(anneal_lease_held)"),), kind="stat", width=4,
          help="One, always: no writer means that nothing moves."),
    Panel("Lease left", (("{{pod}}", "anneal_lease_seconds_left > 0"),), "s", "stat", 4),
    Panel("Queue", (("wait", "sum(anneal_queue_depth)"),), kind="stat", width=4),
    Panel("Longest wait", (("oldest", "max(anneal_queue_oldest_seconds)"),), "s", "stat", 4),
    Panel("Resources", (("{{kind}}", "sum by (kind) (anneal_resources)"),), kind="stat", width=8),
    Panel("Passes", (("{{kind}}", _rate("anneal_reconcile_total", "kind")),), "ops"),
    Panel("Failed passes", (("{{kind}} {{error}}", _rate("anneal_reconcile_errors_total", "kind, error")),), "ops"),
    Panel("Duration of a pass", (("p50 {{kind}}", _quantile(0.5, "anneal_reconcile_seconds", "kind")),
                                 ("p99 {{kind}}", _quantile(0.99, "anneal_reconcile_seconds", "kind"))), "s"),
    Panel("Lateness of the event loop", (("p50", _quantile(0.5, "anneal_loop_lag_seconds")),
                                         ("p99", _quantile(0.99, "anneal_loop_lag_seconds"))), "s",
          help="Late for more than a second: too little CPU."),
    Panel("Reads from the API server", (("{{verb}} {{status}}", _rate("anneal_api_reads_total", "verb, status")),),
          "reqps"),
    Panel("Writes to the API server", (("{{verb}} {{status}}", _rate("anneal_api_writes_total", "verb, status")),),
          "reqps"),
    Panel("Full comparisons", (("comparisons", "sum(increase(anneal_resync_total[1h]))"),), width=12,
          help="In an hour. None within operator.resyncSeconds: the operator is not at work."),
    Panel("Changes that no event had told",
          (("{{kind}}", "sum by (kind) (increase(anneal_resync_differences_total[1h]))"),), width=12),
)  # fmt: skip

RUNS = (
    Panel("Runs by phase", (("{{phase}}", 'sum by (phase) (anneal_resources{kind="FineTuneJob"})'),), width=12),
    Panel("Deployments by phase", (("{{phase}}", 'sum by (phase) (anneal_resources{kind="ModelDeployment"})'),)),
    Panel("Failed for good, in a day",
          (("{{kind}} {{reason}}", "sum by (kind, reason) (increase(anneal_failures_total[1d])) > 0"),),
          kind="bargauge"),
    Panel("Attempts that failed, in a day",
          (("{{stage}} {{reason}}", "sum by (stage, reason) (increase(anneal_stage_failures_total[1d])) > 0"),),
          kind="bargauge"),
    Panel("From apply to the first step", (("p50", _quantile(0.5, "anneal_first_step_seconds")),
                                           ("p95", _quantile(0.95, "anneal_first_step_seconds"))), "s"),
    Panel("From apply to the first token", (("p50", _quantile(0.5, "anneal_first_token_seconds")),
                                            ("p95", _quantile(0.95, "anneal_first_token_seconds"))), "s"),
    Panel("Time of a stage, median", (("{{stage}}", _quantile(0.5, "anneal_stage_seconds", "stage")),), "s", width=24),
    Panel("Training loss", (("{{namespace}}/{{pod}}", "anneal_train_loss"),)),
    Panel("Validation loss", (("{{namespace}}/{{pod}}", "anneal_train_eval_loss > 0"),)),
    Panel("Progress", (("{{namespace}}/{{pod}}", "anneal_train_step / (anneal_train_steps > 0)"),), "percentunit",
          "bargauge"),
    Panel("Time to go", (("{{namespace}}/{{pod}}", "anneal_train_eta_seconds"),), "s", "bargauge"),
    Panel("Speed", (("{{namespace}}/{{pod}}", "anneal_train_tokens_per_second"),), help="Tokens per second."),
    Panel("Learning rate", (("{{namespace}}/{{pod}}", "anneal_train_learning_rate"),), "sci"),
    Panel("Since the last progress",
          (("{{namespace}}/{{pod}}", "time() - (anneal_train_last_progress_timestamp_seconds > 0)"),), "s"),
    Panel("Epoch", (("{{namespace}}/{{pod}}", "anneal_train_epoch"),)),
)  # fmt: skip


def _board(uid: str, title: str, panels: tuple[Panel, ...]) -> dict[str, Any]:
    return {
        "uid": uid,
        "title": title,
        "tags": ["anneal"],
        "schemaVersion": 39,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [{"name": "source", "label": "Source", "type": "datasource", "query": "prometheus"}]},
        "panels": _placed(panels),
    }


def _placed(panels: tuple[Panel, ...]) -> list[dict[str, Any]]:
    """From left to right, row by row; stats are half as high."""
    result: list[dict[str, Any]] = []
    x = y = row = 0
    for number, panel in enumerate(panels, start=1):
        if x + panel.width > WIDTH:
            x, y, row = 0, y + row, 0
        height = HEIGHT // 2 if panel.kind == "stat" else HEIGHT
        result.append(_panel(number, panel, {"x": x, "y": y, "w": panel.width, "h": height}))
        x, row = x + panel.width, max(row, height)
    return result


def _panel(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": query, "legendFormat": legend}
        for index, (legend, query) in enumerate(panel.queries)
    ]
    shown = {"id": number, "title": panel.title, "type": panel.kind, "datasource": SOURCE, "gridPos": place}
    return {
        **shown,
        **({"description": panel.help} if panel.help else {}),
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": targets,
    }
