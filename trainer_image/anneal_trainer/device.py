"""What the machine gives us: the compute type it is good at and the CPU time we may really use."""

import logging
import os
from pathlib import Path
from typing import Literal

import torch

from anneal_trainer.errors import BadConfig

log = logging.getLogger(__name__)

Precision = Literal["bf16", "fp16", "fp32"]


def choose_precision(wanted: str) -> Precision:
    """The compute type for `training.precision` on this device."""
    cuda = torch.cuda.is_available()
    if wanted == "fp16" and not cuda:
        raise BadConfig(
            "training.precision is fp16, which needs a GPU. Fix: use auto, bf16 or fp32, or set resources.gpus."
        )
    if wanted == "bf16" and cuda and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise BadConfig(
            f"training.precision is bf16, which {torch.cuda.get_device_name()} does not have. Fix: use auto or fp16."
        )
    if wanted in ("bf16", "fp16", "fp32"):
        return wanted  # type: ignore[return-value]
    if cuda:
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if _cpu_has_bf16() else "fp32"


def _cpu_has_bf16() -> bool:
    """Without instructions of its own for it, a CPU is slower in bf16 than in fp32."""
    flags = Path("/proc/cpuinfo")
    return flags.is_file() and any(flag in flags.read_text() for flag in ("avx512_bf16", "amx_bf16", " bf16 "))


def use_allowed_cpus() -> None:
    """One thread per CPU that the container may use: more would only be throttled."""
    if (cpus := allowed_cpus()) != torch.get_num_threads():
        torch.set_num_threads(cpus)
    log.info("threads: %d", torch.get_num_threads())


def allowed_cpus(root: Path = Path("/sys/fs/cgroup")) -> int:
    """CPUs within the cgroup's limit (version 2 or 1) and the process's affinity, at least 1."""
    return max(1, min(len(os.sched_getaffinity(0)), _quota(root)))


def _quota(root: Path) -> int:
    unlimited = 1 << 16
    try:
        if (modern := root / "cpu.max").is_file():
            limit, period = modern.read_text().split()
        else:
            limit, period = ((root / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return unlimited if limit == "max" or int(limit) <= 0 else -(-int(limit) // int(period))
    except (OSError, ValueError):
        return unlimited
