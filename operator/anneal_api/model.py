"""The base classes of every document we read or write: camelCase outside, snake_case inside."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

RULES = "x-kubernetes-validations"


class Document(BaseModel):
    """Immutable, camelCase on the wire. Unknown keys are refused: a misspelt field must never be silent."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True,
        # Only what is read gets a validator: a fifth of the start of each pod's programs.
        defer_build=True,
    )

    def to_wire(self) -> dict[str, Any]:
        """The JSON object as written to the API server or to a file; unset optional fields are left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class StatusDocument(Document):
    """What we wrote ourselves, perhaps with another version: unknown keys are ignored, never fatal."""

    model_config = ConfigDict(extra="ignore")


def rules(*pairs: tuple[str, str]) -> dict[str, Any]:
    """CEL rules for `json_schema_extra`: (expression, message) pairs."""
    return {RULES: [{"rule": rule, "message": message} for rule, message in pairs]}


@dataclass(frozen=True)
class Format:
    """What a string looks like: a pattern for machines, and a sentence for whoever missed it.

    The API server tells a pattern's failure by the pattern alone; a CEL rule beside it adds the sentence.
    """

    pattern: str
    sentence: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        rule = (f"self.matches(r'{self.pattern}')", self.sentence)
        return {**handler(schema), "pattern": self.pattern, **rules(rule)}

    def _check(self, value: str) -> str:
        if not re.fullmatch(self.pattern, value):
            raise PydanticCustomError("format", "{sentence}", {"sentence": self.sentence})
        return value


Name = Annotated[str, Field(max_length=253), Format(
    r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$",
    "the name of an object holds a-z, 0-9, '-' and '.', and starts and ends with a letter or digit")]
"""The name of another object, as Kubernetes allows it for Secrets, ConfigMaps and classes (a DNS subdomain)."""

Quantity = Annotated[str, Field(max_length=32), Format(
    r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$", 'write a number and, if need be, a unit: "500m", "2" or "16Gi"')]
"""A Kubernetes quantity as a string, for example "500m" or "16Gi"."""

Duration = Annotated[str, Field(max_length=16), Format(
    r"^([0-9]{1,6}(s|m|h))+$", 'write hours, minutes and seconds: "90s", "30m" or "1h30m"')]
"""A duration such as "90s", "30m" or "1h30m"."""

Digest = Annotated[str, Field(max_length=80), Format(
    r"^sha256:[0-9a-f]{64}$", "write sha256: and 64 hexadecimal digits, as status shows them")]
"""What exactly a folder holds: the SHA-256 of its manifest."""

Identifier = Annotated[str, Field(max_length=63), Format(
    r"^[A-Za-z0-9._-]*$", "only letters, digits, '.', '_' and '-' can be used")]
"""A name that people choose, or nothing."""


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
