"""Every way in which a stage can fail on purpose; the class decides the exit code, the message what the user reads.

StageError
+- BadConfig            the spec asks for something impossible
+- BadData              rows or prompts that cannot be used
+- DatasetNotFound      the file of rows or prompts is not there
+- ModelNotFound        the base model is not there, or may not be read
+- ModelMismatch        model, tokenizer and template do not fit together, or cannot be trained or served
+- CudaOutOfMemory
+- LossNotFinite
+- StorageUnavailable   another attempt may work
+- DiskFull
+- NoValidCheckpoint
+- EngineFailed         the serving engine beside evaluate does not answer

BaseException
+- Preempted            told to stop; the next pod goes on. No Exception, so that no library can swallow it

A message says what is wrong, where, and how to fix it. Everything else that is raised is a bug: exit code 1.
"""

import errno
from pathlib import Path
from typing import ClassVar

from anneal_api.run import ExitCode

CRASHED = 1


class StageError(Exception):
    """Base of the tree; only its subclasses are raised."""

    exit_code: ClassVar[int]


class BadConfig(StageError):
    exit_code = ExitCode.BAD_CONFIG


class BadData(StageError):
    exit_code = ExitCode.BAD_DATA


class DatasetNotFound(StageError):
    exit_code = ExitCode.DATASET_NOT_FOUND


class ModelNotFound(StageError):
    exit_code = ExitCode.MODEL_NOT_FOUND


class ModelMismatch(StageError):
    exit_code = ExitCode.MODEL_MISMATCH


class CudaOutOfMemory(StageError):
    exit_code = ExitCode.CUDA_OUT_OF_MEMORY


class LossNotFinite(StageError):
    exit_code = ExitCode.LOSS_NOT_FINITE


class StorageUnavailable(StageError):
    exit_code = ExitCode.STORAGE_UNAVAILABLE


class DiskFull(StageError):
    exit_code = ExitCode.DISK_FULL


class NoValidCheckpoint(StageError):
    exit_code = ExitCode.NO_VALID_CHECKPOINT


class EngineFailed(StageError):
    # No code of its own: the sidecar's state tells the operator more than this container can.
    exit_code = CRASHED


class Preempted(BaseException):
    exit_code: ClassVar[int] = ExitCode.PREEMPTED


_FULL = (errno.ENOSPC, errno.EDQUOT)
_UNAVAILABLE = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN)


def storage_error(error: BaseException) -> StageError | None:
    """The stage error behind a full or broken volume, wherever in the chain of causes it hides."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in (*_FULL, *_UNAVAILABLE):
            return _full(seen) if seen.errno in _FULL else _broken(seen)
        # Rust code (safetensors) reports the errno in words only.
        if "No space left on device" in str(seen):
            return DiskFull(
                f"no space left on a volume: {seen}. Fix: raise workspace.size, or free space on the output claim."
            )
        seen = seen.__cause__ or seen.__context__
    return None


def _full(error: OSError) -> DiskFull:
    where = f" {mount_of(Path(error.filename))} (writing {error.filename})" if error.filename else ""
    return DiskFull(f"no space left on volume{where}. Fix: raise workspace.size, or free space on the output claim.")


def _broken(error: OSError) -> StorageUnavailable:
    return StorageUnavailable(
        f"storage does not answer: {error}. Fix: look at the volume's node and its storage class."
    )


def mount_of(path: Path) -> Path:
    """The mount point that holds the path."""
    path = path.absolute()
    while not path.is_mount() and path != path.parent:
        path = path.parent
    return path
