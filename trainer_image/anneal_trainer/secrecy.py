"""The Secrets that this process has read never leave it in words: not in a log, a traceback or a result."""

HIDDEN = "[redacted]"
_known: set[str] = set()


def keep(secret: str) -> str:
    """Remember a Secret, and give it back."""
    if secret:
        _known.add(secret)
    return secret


def hide(text: str) -> str:
    """The text without any of them: what a library or a server echoes is nobody's promise."""
    for secret in _known:
        text = text.replace(secret, HIDDEN)
    return text
