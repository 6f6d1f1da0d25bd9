"""What sentences of Kubernetes' stand for: a table from words to a Reason and the fix for exactly that case.

Quota, admission, volumes and registries say what is wrong in prose only, in Events and in errors of the API server.
The operator reads it for conditions, the command line for Events that no condition repeats.
"""

import re
from dataclasses import dataclass

from anneal_api.conditions import REASONS, Reason


@dataclass(frozen=True)
class Sense:
    """What a sentence stands for, and what to do about it."""

    reason: Reason
    fix: str


@dataclass(frozen=True)
class Row:
    """A row of a table; the fix may use the pattern's named groups, and the catalogue's stands where there is none."""

    pattern: str
    reason: Reason
    fix: str = ""

    def read(self, text: str) -> Sense | None:
        """The sense of the text, if it is this one."""
        found = re.search(self.pattern, text, re.IGNORECASE)
        return Sense(self.reason, (self.fix or REASONS[self.reason].fix).format(**found.groupdict())) if found else None


_NAME = r'"(?P<name>[^"]*)"'

ROWS = (
    Row(r"exceeded quota: (?P<name>[^\s,]+)", Reason.QUOTA_EXCEEDED,
        "Free quota (kubectl describe quota {name}), raise it, or lower spec.resources; the operator tries again by "
        "itself."),
    Row(rf"\bsecrets? {_NAME} not found", Reason.SECRET_NOT_FOUND, "Create the Secret {name} in the same namespace."),
    Row(r"references non-existent secret key: (?P<key>\S+)", Reason.SECRET_NOT_FOUND,
        "Add the key {key} to the Secret."),
    Row(r"couldn't find key (?P<key>\S+) in Secret \S*/(?P<name>\S+)", Reason.SECRET_NOT_FOUND,
        "Add the key {key} to the Secret {name}."),
    Row(rf"\bconfigmaps? {_NAME} not found", Reason.CONFIG_MAP_NOT_FOUND,
        "Create the ConfigMap {name} in the same namespace."),
    Row(r"references non-existent config key: (?P<key>\S+)", Reason.CONFIG_MAP_NOT_FOUND,
        "Add the key {key} to the ConfigMap."),
    Row(rf"persistentvolumeclaim {_NAME} not found", Reason.CLAIM_NOT_FOUND,
        "Create the claim {name} in the same namespace, or correct the URI."),
    Row(rf"storageclass\S* {_NAME} not found", Reason.VOLUME_NOT_READY,
        "Create the StorageClass {name}, or make the claim anew with one that exists (kubectl get storageclass)."),
    Row(r"no storage class is set", Reason.VOLUME_NOT_READY,
        "Name a storage class in the claim, or make one of the cluster's the default."),
    Row(rf"failed calling webhook {_NAME}", Reason.WEBHOOK_UNAVAILABLE,
        "Start the service behind webhook {name} again, or let its owner exclude the namespace; the operator tries "
        "again by itself."),
    Row(rf"admission webhook {_NAME} denied the request", Reason.POD_REJECTED,
        "Follow the words of webhook {name}, or ask its owner for an exception."),
    Row(r"ValidatingAdmissionPolicy '(?P<name>[^']*)'", Reason.POD_REJECTED,
        "Follow the words of the policy {name}, or ask its owner for an exception."),
    Row(rf"violates PodSecurity {_NAME}", Reason.POD_REJECTED,
        "The pod passes level restricted as it is made: find what changes it on its way (a mutating webhook, a sidecar "
        "injector), or change the namespace's level."),
    Row(r"no PriorityClass with name (?P<name>\S+)", Reason.POD_REJECTED,
        "Create the PriorityClass {name}, or correct spec.scheduling.priorityClassName."),
    Row(r"(?P<bound>maximum|minimum) (?P<what>\S+) usage per (?:Container|Pod) is (?P<limit>[^\s,]+)",
        Reason.POD_REJECTED,
        "Change spec.resources to fit the LimitRange of the namespace ({bound} {what} is {limit}), or change that."),
    Row(rf"serviceaccount {_NAME} not found", Reason.POD_REJECTED,
        "Create the ServiceAccount {name} in the namespace."),
    Row(r"because it is being terminated", Reason.POD_REJECTED,
        "The namespace is being deleted; make the resource in another one."),
    Row(r"PodSecurity|denied the request|LimitRange|limits? to request|forbidden", Reason.POD_REJECTED),
    Row(r"local storage usage exceeds|local ephemeral storage limit|Usage of EmptyDir volume", Reason.DISK_FULL,
        "The pod wrote more to its scratch space than it may; ask for less data at once, or raise the limit that the "
        "message names."),
    Row(r"node was low on resource: (?P<what>[\w-]+)", Reason.EVICTED,
        "The node ran out of {what}: add nodes, or ask for what is really used in spec.resources."),
    Row(r"Multi-Attach", Reason.VOLUME_NOT_READY,
        "Wait until the other pod ends, or use a claim with access mode ReadWriteMany."),
    Row(r"volume|claim", Reason.VOLUME_NOT_READY),
)

PULLS = (
    Row(r"toomanyrequests|rate limit|\b429\b", Reason.IMAGE_PULL_FAILED,
        "The registry limits pulls: give the operator a pull secret (images.pullSecrets of the chart), or mirror the "
        "image."),
    Row(r"unauthorized|authentication required|no basic auth|access denied|denied:|\b40[13]\b",
        Reason.IMAGE_PULL_FAILED,
        "The registry wants a login: name a pull secret that is in this namespace in the chart's images.pullSecrets."),
    Row(r"not found|manifest unknown|\b404\b|does not exist", Reason.IMAGE_PULL_FAILED,
        "The registry has no such image: correct repository, tag or digest in the chart's images."),
    Row(r"no such host|timeout|connection refused|x509|tls:|network is unreachable", Reason.IMAGE_PULL_FAILED,
        "The node does not reach the registry: check its name, certificate and the node's network."),
    Row(r"InvalidImageName|couldn't parse image|invalid reference", Reason.IMAGE_PULL_FAILED,
        "That is no image name: correct it in the chart's images."),
    Row(r"ErrImageNeverPull", Reason.IMAGE_PULL_FAILED,
        "images.pullPolicy is Never: load the image onto the node, or change the policy."),
)
"""What the kubelet says about an image. A table of its own, for words like "not found" mean less elsewhere."""

LOGS = (
    Row(r"CUDA out of memory|torch\.OutOfMemoryError", Reason.CRASHED,
        "The GPU has too little memory: ask for a larger one, or lower engine.maxModelLen (a server) or "
        "training.batchSize and dataset.maxTokens (a run)."),
    Row(r"No available memory for the cache blocks|KV cache .* larger than|can be stored in KV cache", Reason.CRASHED,
        "There is no room beside the weights for the context: lower engine.maxModelLen, or raise spec.resources."),
    Row(r"No space left on device", Reason.CRASHED, "A volume is full: raise spec.workspace.size, or free the claim."),
    Row(r"no kernel image is available", Reason.CRASHED,
        "The image has no code for this GPU: use an image that is built for it, or another GPU "
        "(spec.scheduling.nodeSelector)."),
    Row(r"driver version is insufficient|forward compatibility was attempted", Reason.CRASHED,
        "The node's NVIDIA driver is older than the image needs: update it, or use an older image."),
    Row(r"uncorrectable ECC|\bXid\b|GPU has fallen off the bus", Reason.CRASHED,
        "The GPU is broken: cordon its node, and let the next attempt land elsewhere."),
    Row(r"Illegal instruction", Reason.CRASHED,
        "The node's CPU lacks instructions that the image uses: choose another node (spec.scheduling.nodeSelector)."),
    Row(r"architectures? .* not supported|does not recognize this architecture", Reason.CRASHED,
        "The engine does not know this kind of model: use a newer engine image, or another base model."),
)
"""What libraries and engines say last. They change no reason, for words in a log prove less than an exit code."""

_SHORT = re.compile(r"Insufficient (?P<what>[\w./-]+)")
_FIELDS = {"cpu": "spec.resources.cpu", "memory": "spec.resources.memory", "nvidia.com/gpu": "spec.resources.gpus"}
_PLACES = (
    (re.compile(r"untolerated taint \{(?P<what>[^}]*)\}"), "tolerate the taint {what} in spec.scheduling.tolerations"),
    (re.compile(r"didn't match Pod's node (?:affinity/)?selector|didn't match Pod's node affinity"),
     "correct spec.scheduling.nodeSelector"),
    (re.compile(r"(?P<what>Too many pods)"), "add a node, for one has as many pods as it takes"),
    (re.compile(r"node\(s\) were unschedulable"), "uncordon a node (kubectl uncordon)"),
)


def sense(text: str, table: tuple[Row, ...] = ROWS) -> Sense | None:
    """What a sentence stands for; None when it is none that we know."""
    return next((found for row in table if (found := row.read(text))), None)


def shortages(text: str) -> tuple[str, ...]:
    """The resources that a scheduler's sentence says are missing, each once."""
    return tuple(dict.fromkeys(match["what"].rstrip(".") for match in _SHORT.finditer(text)))


def unscheduled_fix(text: str) -> str:
    """What helps a pod that fits no node: what is short, and which of its wishes no node has."""
    lower = [f"lower {_FIELDS[what]}" if what in _FIELDS else f"free {what}" for what in shortages(text)]
    place = [advice.format(**match.groupdict()) for pattern, advice in _PLACES if (match := pattern.search(text))]
    advice = " or ".join([*lower, *place])
    return f"{advice[0].upper()}{advice[1:]}, or add a node that fits." if advice else REASONS[Reason.UNSCHEDULABLE].fix
