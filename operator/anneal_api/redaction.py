"""Removing what must not leave a cluster, or reach a status: secrets by their names and by their looks."""

import re
from typing import Any

HIDDEN = "[redacted]"
SECRET_NAME = re.compile(r"(token|secret|passw|credential|api[-_]?key|private[-_]?key|authorization)", re.IGNORECASE)
SAFE_NAMES = {"secretRef", "secretName", "automountServiceAccountToken", "imagePullSecrets", "secret", "secretKeyRef",
              "trainedTokens", "tokens", "maxTokens", "tokensPerSecond", "maxNewTokens", "serviceAccountToken"}
"""Names that only point to a secret, or count tokens of text."""
SECRET_LOOKS = re.compile(
    r"\bhf_[A-Za-z0-9]{8,}|\bsk-[A-Za-z0-9_-]{8,}|\bgh[pousr]_[A-Za-z0-9]{20,}|\bAKIA[A-Z0-9]{16}\b"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)")
ASSIGNED = re.compile(
    r"((?:(?:token|secret|password|api[-_]?key)[\"']?\s*[=:]\s*[\"']?)|bearer\s+)([^\s\"',}]+)", re.IGNORECASE)
"""`NAME=value` and `"name": "value"`; the plural, as in max_tokens=128, counts tokens of text."""
NOISE = ("managedFields",)
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def redact_object(value: Any, name: str = "") -> Any:
    """A copy of a JSON value without secrets and without noise."""
    if isinstance(value, dict):
        return {key: _member(value, key) for key in value if key not in NOISE and key != LAST_APPLIED}
    if isinstance(value, list):
        return [redact_object(item, name) for item in value]
    if isinstance(value, str):
        return HIDDEN if _is_secret_name(name) and value else redact_text(value)
    return value


def _member(owner: dict[str, Any], key: str) -> Any:
    # An environment variable has its name in one field and its value in another.
    named = str(owner.get("name", "")) if key == "value" else key
    return redact_object(owner[key], named)


def _is_secret_name(name: str) -> bool:
    return name not in SAFE_NAMES and SECRET_NAME.search(name) is not None


def redact_text(text: str) -> str:
    """A log or message without anything that looks like a secret."""
    return ASSIGNED.sub(lambda found: found[1] + HIDDEN, SECRET_LOOKS.sub(HIDDEN, text))
