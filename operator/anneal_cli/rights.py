"""What each verb asks of the API server: shown in its help, and tested against a real one with nothing more."""

from dataclasses import dataclass

from anneal_api import GROUP
from anneal_api.finetunejob import PLURAL as JOBS
from anneal_api.modeldeployment import PLURAL as DEPLOYMENTS


@dataclass(frozen=True)
class Right:
    """Verbs on resources of one API group."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]

    def __str__(self) -> str:
        return f"{_and(self.verbs)} on {_and(self.resources)}"


def _ours(*verbs: str, resources: tuple[str, ...] = (JOBS, DEPLOYMENTS)) -> Right:
    return Right(GROUP, resources, verbs)


def _core(resource: str, *verbs: str) -> Right:
    return Right("", (resource,), verbs)


READ_EVENTS = (_ours("get"), _core("events", "list"))
READ_LOGS = (_core("pods", "list"), _core("pods/log", "get"))
STEER = (_ours("get", "patch", resources=(JOBS,)),)
ROLL_BACK = (_ours("get", "patch", resources=(DEPLOYMENTS,)),)
READ_CRDS = Right("apiextensions.k8s.io", ("customresourcedefinitions",), ("get",))
READ_CLUSTER = (
    READ_CRDS, Right("apps", ("deployments",), ("list",)), Right("storage.k8s.io", ("storageclasses",), ("list",)),
    _core("nodes", "list"), _core("persistentvolumeclaims", "list"),
)
RIGHTS: dict[str, tuple[Right, ...]] = {
    "init": (),
    "status": (_ours("get", "list", "watch"),),
    "list": (_ours("list"),),
    "logs": (_ours("get", "list", "watch"), _core("pods", "get", "list", "watch"), _core("pods/log", "get")),
    "plot": (_ours("get", resources=(JOBS,)), *READ_LOGS),
    "chat": (_ours("get", resources=(DEPLOYMENTS,)), _core("pods", "list"), _core("pods/portforward", "create", "get")),
    "events": READ_EVENTS,
    "explain": READ_EVENTS,
    "retry": STEER,
    "suspend": STEER,
    "resume": STEER,
    "rollback": ROLL_BACK,
    "doctor": READ_CLUSTER,
    "report": (*READ_EVENTS, *READ_LOGS, *READ_CLUSTER),
    "version": (READ_CRDS,),
    "completion": (),
}


def needs(verb: str) -> str:
    """The sentence for the help of a verb."""
    rights = RIGHTS[verb]
    return f"Needs {'; '.join(map(str, rights))}." if rights else "Asks no cluster."


def _and(words: tuple[str, ...]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
