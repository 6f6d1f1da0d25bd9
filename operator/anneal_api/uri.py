"""Where models, data and artifacts live: `pvc://<claim>/<path>` and `hf://<owner>/<name>`."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from anneal_api.model import Format

CLAIM_ROOT = "/mnt/pvc"
"""Every claim that a run or a server uses is mounted at `<CLAIM_ROOT>/<claim>`."""

_CLAIM = r"pvc://[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_PATH = r"(/[A-Za-z0-9_][A-Za-z0-9._=+-]*)"
_HUB = r"hf://[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}"

# Parts of a path start with a letter, digit or underscore, so `..` and hidden files cannot be spelled.
_PARTS = "each part of the path starts with a letter, a digit or _ and holds only those and . = + -"

ClaimUri = Annotated[str, Field(max_length=512), Format(
    rf"^{_CLAIM}{_PATH}*$", f"write pvc://<claim>/<folder>; {_PARTS}")]
ClaimFileUri = Annotated[str, Field(max_length=512), Format(
    rf"^{_CLAIM}{_PATH}+$", f"write pvc://<claim>/<file>; {_PARTS}")]
ModelUri = Annotated[str, Field(max_length=512), Format(
    rf"^({_CLAIM}{_PATH}*|{_HUB})$",
    f"write pvc://<claim>/<folder> or hf://<owner>/<name>; in a claim, {_PARTS}")]


@dataclass(frozen=True)
class ClaimPath:
    """A place in a PersistentVolumeClaim."""

    claim: str
    path: str

    @property
    def mounted(self) -> str:
        """Where the place appears inside our containers."""
        return f"{CLAIM_ROOT}/{self.claim}/{self.path}".rstrip("/")


def parse_claim(uri: str) -> ClaimPath | None:
    """The claim and path of a `pvc://` URI; None for another scheme."""
    if not uri.startswith("pvc://"):
        return None
    claim, _, path = uri.removeprefix("pvc://").partition("/")
    return ClaimPath(claim, path)


def parse_hub(uri: str) -> str | None:
    """The `owner/name` of an `hf://` URI; None for another scheme."""
    return uri.removeprefix("hf://") if uri.startswith("hf://") else None
