"""resolve and serve: read the spec, act, and leave what the operator needs in the termination log."""

import errno
import json
import sys
from pathlib import Path

from anneal_api.artifact import ArtifactError
from anneal_api.serve import ResolveResult, ServeSpec
from anneal_api.termination import MAX_TERMINATION_BYTES, ExitCode
from anneal_server.failures import ServerError
from anneal_server.resolve import resolve
from anneal_server.serve import serve
from anneal_server.verify import verify

FULL = (errno.ENOSPC, errno.EDQUOT)


def run(verb: str, spec_file: Path, termination_log: Path) -> int:
    """Every failure becomes an exit code and one line in the log and in the termination log."""
    try:
        return act(verb, read_spec(spec_file), termination_log)
    except ServerError as error:
        return fail(termination_log, error.code, str(error))
    except ArtifactError as error:
        return fail(termination_log, ExitCode.MODEL_MISMATCH, str(error))
    except OSError as error:
        code = ExitCode.DISK_FULL if error.errno in FULL else ExitCode.STORAGE_UNAVAILABLE
        return fail(termination_log, code, f"{error.filename or 'storage'}: {error.strerror or error}")


def read_spec(path: Path) -> ServeSpec:
    """The spec that the operator wrote."""
    try:
        return ServeSpec.model_validate_json(path.read_bytes())
    except ValueError as error:
        raise ServerError(ExitCode.BAD_CONFIG, f"{path} is not a ServeSpec of schema 1: {error}") from error


def act(verb: str, spec: ServeSpec, termination_log: Path) -> int:
    """The verb itself."""
    if verb == "resolve":
        leave(termination_log, result_of(spec).model_dump_json(by_alias=True, exclude_none=True))
        return ExitCode.OK
    if spec.artifact is not None:
        verify(spec, spec.artifact)
    return serve(spec)


def result_of(spec: ServeSpec) -> ResolveResult:
    """That a folder cannot be served is an answer, not a failure of the Job."""
    if spec.artifact is None:
        raise ServerError(ExitCode.BAD_CONFIG, "resolve needs spec.artifact.uri: the folder to read")
    try:
        return ResolveResult(artifact=resolve(Path(spec.models[0].path), spec.artifact.uri))
    except (ServerError, ArtifactError) as error:
        return ResolveResult(message=str(error))


def fail(termination_log: Path, code: ExitCode, message: str) -> int:
    """One line for people in the log, the same for the operator where it looks."""
    sys.stderr.write(f"error: {message}\n")
    leave(termination_log, json.dumps({"message": message}))
    return code


def leave(termination_log: Path, text: str) -> None:
    """Kubernetes cuts what is longer, and half a JSON document is none."""
    data = text.encode()
    termination_log.write_bytes(data if len(data) <= MAX_TERMINATION_BYTES else shortened(json.loads(text)["message"]))


def shortened(message: str) -> bytes:
    """As much of the message as fits; escaped, one character can take six bytes or twelve."""
    while len(data := json.dumps({"message": message}).encode()) > MAX_TERMINATION_BYTES:
        message = message[: len(message) * 7 // 8]
    return data
