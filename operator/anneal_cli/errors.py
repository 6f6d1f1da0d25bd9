"""How a command ends when it cannot do its work: one sentence on what and where, one on how to fix it."""

OK = 0
FAILED = 1
USAGE = 2
TIMEOUT = 124
INTERRUPTED = 130


class CliError(Exception):
    """Shown to the user without a traceback."""

    def __init__(self, message: str, fix: str = "", code: int = FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.code = code


class NotFound(CliError):
    """The object does not exist."""


class Unavailable(CliError):
    """The API server did not answer, or not now; the same request may work later."""


class Expired(CliError):
    """The resource version of a watch is too old; list again."""
