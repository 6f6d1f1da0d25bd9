"""The base classes of every document we read or write: camelCase outside, snake_case inside."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Document(BaseModel):
    """Immutable, camelCase on the wire. Unknown keys are refused: a misspelt field must never be silent."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, use_attribute_docstrings=True
    )

    def to_wire(self) -> dict[str, Any]:
        """The JSON object as written to the API server or to a file; unset optional fields are left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class StatusDocument(Document):
    """What we wrote ourselves, perhaps with another version: unknown keys are ignored, never fatal."""

    model_config = ConfigDict(extra="ignore")


def rules(*pairs: tuple[str, str]) -> dict[str, Any]:
    """CEL rules for `json_schema_extra`: (expression, message) pairs."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in pairs]}


Name = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")]
"""The name of another object, as Kubernetes allows it for Secrets, ConfigMaps and classes (a DNS subdomain)."""

Quantity = Annotated[str, Field(min_length=1, max_length=32, pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")]
"""A Kubernetes quantity as a string, for example "500m" or "16Gi"."""

Duration = Annotated[str, Field(min_length=2, max_length=16, pattern=r"^([0-9]{1,6}(s|m|h))+$")]
"""A duration such as "90s", "30m" or "1h30m"."""


def seconds(duration: str) -> int:
    """Parse a `Duration` into whole seconds."""
    total, number = 0, ""
    for char in duration:
        if char.isdigit():
            number += char
        else:
            total += int(number) * {"s": 1, "m": 60, "h": 3600}[char]
            number = ""
    return total
