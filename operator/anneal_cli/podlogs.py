"""Which containers of a resource have a log, and reading one to its end across cut connections."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from anneal_api.run import Stage
from anneal_cli.cluster import Cluster
from anneal_cli.errors import CliError, NotFound, Unavailable
from anneal_cli.kinds import LABEL_ATTEMPT, LABEL_STAGE, LABEL_UID, PODS
from anneal_cli.resource import Object, Resource

SERVE = "serve"
STAGES = (*Stage, SERVE)
RECONNECT_SECONDS = 1.0


@dataclass(frozen=True)
class Source:
    """One run of one container."""

    pod: str
    container: str
    container_id: str
    """Changes with every restart."""
    stage: str
    label: str
    """What stands in front of its lines."""
    running: bool


def selector(resource: Resource) -> dict[str, str]:
    """Selects the pods of a resource."""
    return {"labelSelector": f"{LABEL_UID}={resource.uid}"}


def sources(pods: Iterable[Object], stage: str | None, *, sidecars: bool) -> list[Source]:
    """Containers that have run, in the order of the stages, then by attempt and age."""
    chosen = [pod for pod in pods if stage in (None, stage_of(pod))]
    servers = [pod["metadata"]["name"] for pod in sorted(chosen, key=_order) if stage_of(pod) == SERVE]
    return [source for pod in sorted(chosen, key=_order) for source in _of_pod(pod, servers, sidecars)]


def stage_of(pod: Object) -> str:
    """The stage a pod works for; a pod without one serves."""
    return str(pod["metadata"].get("labels", {}).get(LABEL_STAGE, SERVE))


def _order(pod: Object) -> tuple[int, int, str, str]:
    meta = pod["metadata"]
    stage, attempt = stage_of(pod), meta.get("labels", {}).get(LABEL_ATTEMPT, "0")
    place = STAGES.index(stage) if stage in STAGES else len(STAGES)
    return place, int(attempt) if attempt.isdigit() else 0, meta.get("creationTimestamp", ""), meta["name"]


def _of_pod(pod: Object, servers: list[str], sidecars: bool) -> Iterator[Source]:
    shown = _containers(pod, sidecars)
    name, stage = pod["metadata"]["name"], stage_of(pod)
    number = servers.index(name) if name in servers else _order(pod)[1]
    for container in shown:
        status = _status(pod, container)
        state = status.get("state", {})
        if not status.get("containerID"):
            continue
        label = f"{stage}-{number}" + (f"/{container}" if len(shown) > 1 else "")
        yield Source(name, container, status["containerID"], stage, label, running="running" in state)


def _containers(pod: Object, sidecars: bool) -> list[str]:
    """Init containers, then containers; native sidecars when asked for or when they fail, because engines talk."""
    spec = pod["spec"]
    init = [c["name"] for c in spec.get("initContainers", [])
            if sidecars or c.get("restartPolicy") != "Always" or _has_failed(_status(pod, c["name"]))]
    return init + [c["name"] for c in spec["containers"]]


def _has_failed(status: Object) -> bool:
    """Whether a container has ended with an error, now or before its last restart."""
    ends = (status.get(state, {}).get("terminated", {}) for state in ("state", "lastState"))
    return any(end.get("exitCode", 0) != 0 for end in ends)


def _status(pod: Object, container: str) -> Object:
    status = pod.get("status", {})
    found: Iterable[Object] = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    return next((s for s in found if s["name"] == container), {})


def read(cluster: Cluster, source: Source, tail: int | None) -> Iterator[str]:
    """What the log holds now."""
    params = {"container": source.container} | ({"tailLines": str(tail)} if tail is not None else {})
    try:
        yield from cluster.log(source.pod, params)
    except NotFound:
        return


def follow_log(cluster: Cluster, source: Source, tail: int | None, pause: Callable[[float], object]) -> Iterator[str]:
    """The log until this run of the container ends; reconnects and continues after the last line."""
    last = ""
    while True:
        params = {"container": source.container, "follow": "true", "timestamps": "true"}
        if last:
            params["sinceTime"] = last
        elif tail is not None:
            params["tailLines"] = str(tail)
        try:
            for stamp, line in _stamped(cluster.log(source.pod, params)):
                if not last or _moment(stamp) > _moment(last):
                    last = stamp
                    yield line
        except Unavailable:
            # Whether to connect again is decided below, as after an end in good order.
            pass
        except CliError:
            # The container is not the one we knew, or its node is gone; the next look at the pod decides.
            return
        if not _still_runs(cluster, source, pause):
            return
        pause(RECONNECT_SECONDS)


def _stamped(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        stamp, _, text = line.partition(" ")
        yield stamp, text


def _moment(stamp: str) -> tuple[str, str]:
    """Sortable: the fraction has up to nine digits, and none when it is zero."""
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    return whole, fraction.ljust(9, "0")


def _still_runs(cluster: Cluster, source: Source, pause: Callable[[float], object]) -> bool:
    while True:
        try:
            pod = cluster.get(PODS, source.pod)
        except NotFound:
            return False
        except Unavailable:
            pause(RECONNECT_SECONDS)
            continue
        status = _status(pod, source.container)
        return status.get("containerID") == source.container_id and "running" in status.get("state", {})
