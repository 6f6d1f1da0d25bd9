"""What `doctor` looks at: each check reads the cluster and answers with one finding."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from anneal_api import GROUP
from anneal_cli.cluster import Cluster
from anneal_cli.errors import CliError
from anneal_cli.kinds import ACCESS_REVIEWS, CLAIMS, DEPLOYMENTS, NODES, STORAGE_CLASSES
from anneal_cli.refusals import NOT_INSTALLED
from anneal_cli.resource import Object
from anneal_cli.skew import installed_crds, skew

OPERATOR_SELECTOR = {"labelSelector": "app.kubernetes.io/name=anneal"}
GPU = "nvidia.com/gpu"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
RIGHTS = (
    ("list", GROUP, "finetunejobs", "see runs"), ("create", GROUP, "finetunejobs", "start runs"),
    ("create", GROUP, "modeldeployments", "serve models"), ("get", "", "pods/log", "anneal logs"),
    ("create", "", "pods/portforward", "anneal chat"),
)


@dataclass(frozen=True)
class Finding:
    """The answer of one check."""

    level: Literal["ok", "warning", "failed"]
    subject: str
    message: str
    fix: str = ""


def findings(cluster: Cluster) -> Iterator[Finding]:
    """Every check in the order in which its lack would hurt; nothing more once the cluster does not answer."""
    try:
        version = cluster.read("/version")["gitVersion"]
    except CliError as error:
        yield Finding("failed", "cluster", error.message, error.fix)
        return
    yield Finding("ok", "cluster", f"context {cluster.context}, Kubernetes {version}, namespace {cluster.namespace}")
    for check in CHECKS:
        try:
            yield from check(cluster)
        except CliError as error:
            yield Finding("warning", check.__name__.lstrip("_").replace("_", " "), error.message, error.fix)


def _crds(cluster: Cluster) -> Iterator[Finding]:
    for name, crd in installed_crds(cluster).items():
        state = skew(name, crd) if crd else "not installed"
        if state == "ok":
            yield Finding("ok", "CRD", f"{name}: ok")
        else:
            fix = "Use the same version of anneal and of the chart." if crd else NOT_INSTALLED[1]
            yield Finding("failed", "CRD", f"{name}: {state}", fix)


def _operator(cluster: Cluster) -> Iterator[Finding]:
    found = cluster.list(DEPLOYMENTS, OPERATOR_SELECTOR, everywhere=True).items
    if not found:
        yield Finding("failed", "operator", "No Deployment of the operator in any namespace.", NOT_INSTALLED[1])
    for item in found:
        meta, ready = item["metadata"], item.get("status", {}).get("readyReplicas", 0)
        where = f"{meta['namespace']}/{meta['name']}"
        image = item["spec"]["template"]["spec"]["containers"][0]["image"]
        yield (Finding("ok", "operator", f"{where} is ready ({image})") if ready else
               Finding("failed", "operator", f"{where} has no ready pod ({image}).",
                       f"See: kubectl describe pods -n {meta['namespace']} -l app.kubernetes.io/name=anneal"))


def _rights(cluster: Cluster) -> Iterator[Finding]:
    denied = [right for right in RIGHTS if not _allowed(cluster, right[0], right[1], right[2])]
    if not denied:
        yield Finding("ok", "rights", f"you may start runs, serve, read logs and chat in {cluster.namespace}")
    for verb, group, resource, purpose in denied:
        yield Finding("warning", "rights", f"You may not {verb} {resource}{'.' + group if group else ''} ({purpose}).",
                      f"Ask for the role anneal-edit in namespace {cluster.namespace}.")


def _allowed(cluster: Cluster, verb: str, group: str, resource: str) -> bool:
    plural, _, subresource = resource.partition("/")
    attributes = {"namespace": cluster.namespace, "verb": verb, "group": group, "resource": plural,
                  "subresource": subresource}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
              "spec": {"resourceAttributes": attributes}}
    return bool(cluster.create(ACCESS_REVIEWS, review)["status"]["allowed"])


def _storage(cluster: Cluster) -> Iterator[Finding]:
    classes = cluster.list(STORAGE_CLASSES, {}, everywhere=True).items
    default = next((c["metadata"]["name"] for c in classes
                    if c["metadata"].get("annotations", {}).get(DEFAULT_CLASS) == "true"), None)
    if default:
        yield Finding("ok", "storage", f"workspaces use the default StorageClass {default}")
    else:
        yield Finding("warning", "storage", "There is no default StorageClass.", "Set spec.workspace.storageClassName.")


def _claims(cluster: Cluster) -> Iterator[Finding]:
    claims = cluster.list(CLAIMS, {}).items
    names = ", ".join(sorted(c["metadata"]["name"] for c in claims)[:8])
    if claims:
        yield Finding("ok", "claims", f"pvc:// URIs may name: {names}")
    else:
        yield Finding("warning", "claims", f"Namespace {cluster.namespace} has no PersistentVolumeClaim.",
                      "Create one for data and models, and fill it; examples/quickstart shows how.")


def _gpus(cluster: Cluster) -> Iterator[Finding]:
    nodes = cluster.list(NODES, {}, everywhere=True).items
    counts = {node["metadata"]["name"]: _gpu_count(node) for node in nodes}
    total = sum(counts.values())
    if total:
        yield Finding("ok", "GPUs", f"{total} on {sum(1 for n in counts.values() if n)} of {len(nodes)} nodes")
    else:
        yield Finding("warning", "GPUs", f"No node offers {GPU}: runs with resources.gpus above 0 will wait.",
                      "Use resources.gpus: 0 with a small model, or install the NVIDIA device plugin.")


def _gpu_count(node: Object) -> int:
    return int(node.get("status", {}).get("allocatable", {}).get(GPU, 0))


CHECKS: tuple[Callable[[Cluster], Iterator[Finding]], ...] = (_crds, _operator, _rights, _storage, _claims, _gpus)
