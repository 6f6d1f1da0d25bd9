"""What exists in the cluster, as far as the commands care: collections of the API and our two kinds."""

from dataclasses import dataclass

from anneal_api import API_VERSION, finetunejob, modeldeployment
from anneal_cli.errors import USAGE, CliError

LABEL_UID = "anneal.dev/uid"
LABEL_STAGE = "anneal.dev/stage"
LABEL_ATTEMPT = "anneal.dev/attempt"


@dataclass(frozen=True)
class Collection:
    """Objects of one type: the path of their API and their plural."""

    api: str
    plural: str

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """URL path of the collection, of one object, or of a subresource; namespace None spans all."""
        scope = f"/namespaces/{namespace}" if namespace else ""
        return "/".join(part for part in (f"/{self.api}{scope}/{self.plural}", name, subresource) if part)


@dataclass(frozen=True)
class Kind:
    """One of our kinds."""

    kind: str
    singular: str
    short: str
    collection: Collection


PODS = Collection("api/v1", "pods")
EVENTS = Collection("api/v1", "events")
NAMESPACES = Collection("api/v1", "namespaces")
NODES = Collection("api/v1", "nodes")
CRDS = Collection("apis/apiextensions.k8s.io/v1", "customresourcedefinitions")
DEPLOYMENTS = Collection("apis/apps/v1", "deployments")
CLAIMS = Collection("api/v1", "persistentvolumeclaims")
STORAGE_CLASSES = Collection("apis/storage.k8s.io/v1", "storageclasses")
ACCESS_REVIEWS = Collection("apis/authorization.k8s.io/v1", "selfsubjectaccessreviews")
FINE_TUNE_JOB = Kind(finetunejob.KIND, finetunejob.SINGULAR, finetunejob.SHORT_NAMES[0],
                     Collection(f"apis/{API_VERSION}", finetunejob.PLURAL))
MODEL_DEPLOYMENT = Kind(modeldeployment.KIND, modeldeployment.SINGULAR, modeldeployment.SHORT_NAMES[0],
                        Collection(f"apis/{API_VERSION}", modeldeployment.PLURAL))
KINDS = (FINE_TUNE_JOB, MODEL_DEPLOYMENT)


@dataclass(frozen=True)
class Target:
    """What the user named: `support`, or with a kind `ftj/support`."""

    name: str
    kinds: tuple[Kind, ...] = KINDS


def parse_target(text: str) -> Target:
    """Read `NAME` or `KIND/NAME`, with any of kubectl's spellings of the kind."""
    prefix, slash, name = text.rpartition("/")
    if not slash:
        return Target(text)
    found = next((k for k in KINDS if prefix.lower() in spellings(k)), None)
    if found is None or not name:
        raise CliError(f"{text!r} names no resource of ours.", "Write NAME, ftj/NAME or mdep/NAME.", USAGE)
    return Target(name, (found,))


def spellings(kind: Kind) -> tuple[str, ...]:
    """Every way to write the kind before a slash, in lower case."""
    plural = kind.collection.plural
    return (kind.short, kind.singular, plural, f"{plural}.{API_VERSION.split('/')[0]}")
