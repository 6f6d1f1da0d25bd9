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
import os
import shutil
from pathlib import Path
from typing import ClassVar

from anneal_api.termination import ExitCode

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


MIB = 1 << 20
_MORE_SPACE = "Fix: raise workspace.size, or free space on the output claim."
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
            return DiskFull(f"no space left on volume {fullest_volume()}. {_MORE_SPACE}")
        seen = seen.__cause__ or seen.__context__
    return None


def _full(error: OSError) -> DiskFull:
    # A write, other than an open, does not say to which file.
    named = f"{mount_of(Path(error.filename))} (writing {error.filename})" if error.filename else fullest_volume()
    return DiskFull(f"no space left on volume {named}. {_MORE_SPACE}")


def _broken(error: OSError) -> StorageUnavailable:
    return StorageUnavailable(
        f"storage does not answer: {error}. Fix: look at the volume's node and its storage class."
    )


def fullest_volume(mounts: Path = Path("/proc/self/mounts")) -> str:
    """The writable volume with the smallest part of it free, and how much that is."""
    entries = (line.split() for line in mounts.read_text().splitlines())
    writable = (place for _, place, _, options, *_ in entries if "rw" in options.split(","))
    found = ((place, *_total_and_free(place)) for place in writable if os.path.isdir(place))
    known = [entry for entry in found if entry[1]]
    if not known:
        return "of this container"
    place, total, free = min(known, key=lambda entry: entry[2] / entry[1])
    return f"{place} ({free / MIB:.1f} of {total / MIB:.1f} MiB free)"


def _total_and_free(place: str) -> tuple[int, int]:
    """In bytes; 0 for a mount that nobody may look at, or that has just gone: the error that is told is another one."""
    try:
        used = shutil.disk_usage(place)
    except OSError:
        return 0, 0
    return used.total, used.free


def mount_of(path: Path) -> Path:
    """The mount point that holds the path."""
    path = path.absolute()
    while not path.is_mount() and path != path.parent:
        path = path.parent
    return path
