"""What a process and its children cost: memory and CPU, read from /proc."""

import os
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cost:
    """Of a process and all that it started."""

    cpu_seconds: float
    rss_mb: float
    peak_mb: float


def cost(pid: int) -> Cost:
    """What the process with this pid and its descendants have cost until now."""
    pids = [pid, *_descendants(pid)]
    return Cost(round(sum(_cpu(p) for p in pids), 2), round(sum(_memory(p, "VmRSS") for p in pids), 1),
                round(sum(_memory(p, "VmHWM") for p in pids), 1))


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found += [child, *_descendants(child)]
    return found


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _memory(pid: int, field: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    return 0.0
