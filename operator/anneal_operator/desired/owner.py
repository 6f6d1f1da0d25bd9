"""The resource that a child belongs to, and the metadata that says so."""

from dataclasses import dataclass
from typing import Any

from anneal_operator.desired import names


@dataclass(frozen=True)
class Owner:
    """What a child must know about its resource."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str

    @staticmethod
    def of(resource: dict[str, Any]) -> "Owner":
        """The owner that this resource is to its children."""
        meta = resource["metadata"]
        return Owner(resource["apiVersion"], resource["kind"], meta["namespace"], meta["name"], meta["uid"])

    def child(self, *parts: str | int) -> str:
        """The name of a child."""
        return names.child(self.name, self.uid, *parts)

    def labels(self, **more: str) -> dict[str, str]:
        """The labels of a child."""
        return names.labels(self.kind, self.name, self.uid, **more)

    def metadata(self, name: str, **labels: str) -> dict[str, Any]:
        """The metadata of a child: labelled, and removed by the garbage collector with its owner."""
        return {
            "name": name, "namespace": self.namespace, "labels": self.labels(**labels),
            "ownerReferences": [names.owner_reference(self.api_version, self.kind, self.name, self.uid)],
        }
