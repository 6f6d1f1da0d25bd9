"""How a container of ours ends: with an exit code and a termination message.

It imports nothing of the resources: the server's programs need it at each start, and nothing else of a run.
"""

from enum import IntEnum

TERMINATION_LOG = "/dev/termination-log"
MAX_TERMINATION_BYTES = 3072


class ExitCode(IntEnum):
    """How a stage ends. Every other code is an unexplained crash."""

    OK = 0
    BAD_CONFIG = 10
    BAD_DATA = 11
    MODEL_MISMATCH = 12
    CUDA_OUT_OF_MEMORY = 13
    LOSS_NOT_FINITE = 14
    STORAGE_UNAVAILABLE = 15
    DISK_FULL = 16
    NO_VALID_CHECKPOINT = 17
    DATASET_NOT_FOUND = 18
    MODEL_NOT_FOUND = 19
    NO_PROGRESS = 20
    PREEMPTED = 42
