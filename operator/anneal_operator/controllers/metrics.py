"""What the operator counts about itself, for Prometheus."""

from collections.abc import Iterator
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from anneal_operator.controllers.outcomes import Outcomes
from anneal_operator.controllers.store import Store
from anneal_operator.kube.kinds import RESOURCES

READS = frozenset({"get", "list", "watch", "log"})


LAG_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class QueueView(Protocol):
    """What is shown of the work queue."""

    @property
    def depth(self) -> int: ...

    @property
    def oldest(self) -> float: ...


class LeaseView(Protocol):
    """What is shown of the Lease."""

    @property
    def held(self) -> bool: ...

    @property
    def seconds_left(self) -> float: ...


class Metrics:
    """All metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.passes = Counter("anneal_reconcile", "Passes over a resource.", ["kind"], registry=self.registry)
        self.failures = Counter("anneal_reconcile_errors", "Passes that failed, by the kind of error.",
                                ["kind", "error"], registry=self.registry)
        self.seconds = Histogram("anneal_reconcile_seconds", "Duration of a pass.", ["kind"],
                                 registry=self.registry)
        self.reads = Counter(
            "anneal_api_reads", "Reads from the API server, but not those of Kopf, which watches our resources.",
            ["verb", "kind", "status"], registry=self.registry)
        self.writes = Counter("anneal_api_writes", "Writes to the API server.", ["verb", "kind", "status"],
                              registry=self.registry)
        self.resyncs = Counter("anneal_resync", "Times that the store was replaced by LISTs.",
                               registry=self.registry)
        self.resync_differences = Counter(
            "anneal_resync_differences", "Objects that a LIST showed otherwise than events had.", ["kind"],
            registry=self.registry)
        self.loop_lag = Histogram("anneal_loop_lag_seconds", "How late the event loop was, measured once a second.",
                                  buckets=LAG_BUCKETS, registry=self.registry)
        self.outcomes = Outcomes(self.registry)

    def request(self, verb: str, kind: str, status: int) -> None:
        """Count one request; status 0 means that no answer came."""
        (self.reads if verb in READS else self.writes).labels(verb, kind, str(status)).inc()

    def watch(self, store: Store, queue: QueueView, lease: LeaseView) -> None:
        """Add what is read off at each scrape."""
        for name, text, read in (
            ("anneal_queue_depth", "Resources that wait for a worker.", lambda: queue.depth),
            ("anneal_queue_oldest_seconds", "How long the first of them has waited.", lambda: queue.oldest),
            ("anneal_lease_held", "1 when this operator is the writer.", lambda: float(lease.held)),
            ("anneal_lease_seconds_left", "How long this operator may still write without renewing the Lease.",
             lambda: lease.seconds_left),
        ):
            Gauge(name, text, registry=self.registry).set_function(read)
        self.registry.register(_Resources(store))


class _Resources(Collector):
    """Counts resources by kind and phase when asked."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily("anneal_resources", "Resources by phase.", labels=["kind", "phase"])
        for kind in RESOURCES:
            for phase, count in sorted(self._store.phases(kind).items()):
                family.add_metric([kind.name, phase], count)
        yield family
