"""Every name and label of a child. Names are deterministic, so that doing a thing twice is a no-op."""

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "anneal"
LABEL_UID = "anneal.dev/uid"
LABEL_KIND = "anneal.dev/kind"
LABEL_NAME = "anneal.dev/name"
LABEL_STAGE = "anneal.dev/stage"
LABEL_ATTEMPT = "anneal.dev/attempt"
LABEL_RUN = "anneal.dev/run"
LABEL_REVISION = "anneal.dev/revision"

CHILD_SELECTOR = f"{MANAGED_BY}={MANAGER},{LABEL_UID}"
"""Selects every child of ours, and nothing else."""

MAX_NAME = 63


def child(name: str, uid: str, *parts: str | int) -> str:
    """`<name>-<uid8>-<part>-...`: a DNS label. Names of resources are at most 40 characters, which CEL enforces."""
    result = "-".join([name, uid.replace("-", "")[:8], *map(str, parts)])
    assert len(result) <= MAX_NAME, f"child name {result!r} is longer than {MAX_NAME} characters"
    return result


def labels(kind: str, name: str, uid: str, **more: str) -> dict[str, str]:
    """Labels of a child: who manages it, whose it is, and what it is for."""
    return {MANAGED_BY: MANAGER, LABEL_KIND: kind, LABEL_NAME: name, LABEL_UID: uid,
            **{f"anneal.dev/{key}": value for key, value in more.items()}}


def owner_reference(api_version: str, kind: str, name: str, uid: str) -> dict[str, object]:
    """The controller reference by which the garbage collector removes a child with its owner."""
    return {"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": True,
            "blockOwnerDeletion": True}
