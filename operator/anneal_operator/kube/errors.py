"""What can go wrong between the operator and the API server.

    KubeError
    ├── NotFound      404: the object, or its kind, is not there
    ├── Conflict      409: it exists already, or was changed by somebody else meanwhile
    ├── Expired       410: a list took longer than the server remembers
    ├── Invalid       400, 422 and other refusals of what we sent
    ├── Forbidden     403: RBAC, a quota, admission, or a namespace that is being deleted; 500 of a webhook
    └── Unavailable   401, 429, 5xx, time-outs, no connection: try again, perhaps after `retry_after` seconds
    LeaseLost         this process may not write any more; no API call was made

Execute turns Forbidden, Invalid and Conflict into facts of the next pass; the others end a pass, which is tried again.
"""

import json
from collections.abc import Mapping

MAX_TEXT = 1000
"""Longest text of the server's that is kept: what it quotes may be long, and messages end in logs and conditions."""


SERVER_DOWN = frozenset({0, 401, 429, 503, 504})
"""No answer, or one that would be the same for any other object."""


class KubeError(Exception):
    """The API server did not do what was asked."""

    def __init__(self, message: str, *, status: int = 0, reason: str = "", retry_after: float | None = None) -> None:
        super().__init__(message[:MAX_TEXT])
        self.status = status
        self.reason = reason
        self.retry_after = retry_after

    @property
    def message(self) -> str:
        """What the server said."""
        return str(self)

    @property
    def server_down(self) -> bool:
        """Is it the API server that has trouble, and not this object?"""
        return self.status in SERVER_DOWN


class NotFound(KubeError):
    """The object is not there."""


class Conflict(KubeError):
    """The object exists already, or has another resourceVersion, uid or owner of a field."""


class Expired(KubeError):
    """The list must be started again."""


class Invalid(KubeError):
    """The server refuses the content."""


class Forbidden(KubeError):
    """The server refuses the writer, or the namespace refuses the content."""


class Unavailable(KubeError):
    """The server cannot answer now."""


class LeaseLost(Exception):
    """Another operator may be the writer by now."""


_BY_STATUS: dict[int, type[KubeError]] = {
    401: Unavailable, 403: Forbidden, 404: NotFound, 408: Unavailable, 409: Conflict, 410: Expired, 429: Unavailable,
}


def from_response(what: str, status: int, headers: Mapping[str, str], body: bytes) -> KubeError:
    """The error for an answer that is not 2xx. `what` says what was tried, for example "create Job team/a"."""
    details = {"message": body[:MAX_TEXT].decode(errors="replace"), **_details(body)}
    return from_status(what, status, details, _seconds(headers.get("Retry-After")))


def from_status(what: str, status: int, details: Mapping[str, object], retry_after: float | None = None) -> KubeError:
    """The error for a Status object, which a watch that is under way may send, too."""
    text = str(details.get("message") or "")
    kind = _BY_STATUS.get(status, Unavailable if status >= 500 else Invalid)
    if status == 500 and "failed calling webhook" in text:
        # The server itself is well: it is this object that is refused, and its owner must learn why.
        kind = Forbidden
    return kind(f"{what}: {text}", status=status, reason=str(details.get("reason", "")), retry_after=retry_after)


def _details(body: bytes) -> dict[str, object]:
    try:
        parsed = json.loads(body)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isdigit() else None
