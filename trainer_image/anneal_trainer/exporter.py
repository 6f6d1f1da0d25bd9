"""/metrics of a train pod: the newest progress, for Prometheus.

Best effort: training neither waits for it nor ends by it.
"""

import logging
from datetime import datetime

from prometheus_client import CollectorRegistry, Gauge, start_http_server

from anneal_api.run import Progress

log = logging.getLogger(__name__)


class Exporter:
    """Gauges with the values of the newest progress line."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.gauges = {field: self._gauge(name, text) for field, (name, text) in GAUGES.items()}
        self.last = self._gauge("last_progress_timestamp_seconds", "When training last reported progress.")

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"anneal_train_{name}", text, registry=self.registry)

    def serve(self, port: int) -> int:
        """Listen on a thread of its own; returns the port, 0 when it could not be had."""
        try:
            server, _ = start_http_server(port, registry=self.registry)
        except OSError as error:
            log.warning("no metrics: port %d cannot be used: %s", port, error)
            return 0
        return int(server.server_port)

    def show(self, progress: Progress) -> None:
        """Show this from now on; what the line does not tell stays as it was."""
        for field, gauge in self.gauges.items():
            if (value := getattr(progress, field)) is not None:
                gauge.set(value)
        self.last.set(datetime.fromisoformat(progress.time).timestamp())


GAUGES = {
    "step": ("step", "Optimizer steps done."),
    "total_steps": ("steps", "Optimizer steps in all."),
    "epoch": ("epoch", "Passes over the data done."),
    "loss": ("loss", "Training loss, in nats per trained token."),
    "eval_loss": ("eval_loss", "Validation loss, in nats per trained token."),
    "learning_rate": ("learning_rate", "Learning rate."),
    "tokens_per_second": ("tokens_per_second", "Tokens processed per second, padding not counted."),
    "eta_seconds": ("eta_seconds", "Expected time to the last step."),
}
