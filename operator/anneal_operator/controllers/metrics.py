"""What the operator counts about itself, for Prometheus."""

from collections import Counter as Tally
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from anneal_operator.controllers.store import Store
from anneal_operator.kube.kinds import RESOURCES

READS = frozenset({"get", "list", "log"})


class Metrics:
    """All metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.passes = Counter("anneal_reconcile", "Passes over a resource.", ["kind"], registry=self.registry)
        self.failures = Counter("anneal_reconcile_errors", "Passes that failed, by the kind of error.",
                                ["kind", "error"], registry=self.registry)
        self.seconds = Histogram("anneal_reconcile_seconds", "Duration of a pass.", ["kind"],
                                 registry=self.registry)
        self.reads = Counter("anneal_api_reads", "Reads from the API server; watches are not counted.",
                             ["verb", "kind", "status"], registry=self.registry)
        self.writes = Counter("anneal_api_writes", "Writes to the API server.", ["verb", "kind", "status"],
                              registry=self.registry)
        self.resyncs = Counter("anneal_resync", "Times that the store was replaced by LISTs.",
                               registry=self.registry)
        self.resync_differences = Counter(
            "anneal_resync_differences", "Objects that a LIST showed otherwise than events had.", ["kind"],
            registry=self.registry)
        self.loop_lag = Gauge("anneal_loop_lag_seconds", "How late the event loop last was.",
                              registry=self.registry)

    def request(self, verb: str, kind: str, status: int) -> None:
        """Count one request; status 0 means that no answer came."""
        (self.reads if verb in READS else self.writes).labels(verb, kind, str(status)).inc()

    def watch(self, store: Store, queue_depth: Callable[[], int], lease_held: Callable[[], bool]) -> None:
        """Add what is read off at each scrape."""
        Gauge("anneal_queue_depth", "Resources that wait for a worker.",
              registry=self.registry).set_function(queue_depth)
        Gauge("anneal_lease_held", "1 when this operator is the writer.",
              registry=self.registry).set_function(lambda: float(lease_held()))
        self.registry.register(_Resources(store))


class _Resources(Collector):
    """Counts resources by kind and phase when asked."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily("anneal_resources", "Resources by phase.", labels=["kind", "phase"])
        for kind in RESOURCES:
            phases = Tally(str((obj.get("status") or {}).get("phase", "")) for obj in self._store.all(kind))
            for phase, count in sorted(phases.items()):
                family.add_metric([kind.name, phase], count)
        yield family
