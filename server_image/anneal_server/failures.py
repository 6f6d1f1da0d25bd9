"""The one error that ends a verb: an exit code for the operator and a message for a person."""

from anneal_api.termination import ExitCode


class ServerError(Exception):
    """What is wrong, where, and how to fix it."""

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def mismatch(message: str) -> ServerError:
    """The files are not what they should be: no retry changes that."""
    return ServerError(ExitCode.MODEL_MISMATCH, message)


def missing(message: str) -> ServerError:
    """Nothing is where the model should be."""
    return ServerError(ExitCode.MODEL_NOT_FOUND, message)
