"""Runs when any Python of the vLLM image starts, its workers included: asks Linux for the tile registers of AMX.

vLLM's attention kernels for CPUs use them where /proc/cpuinfo has amx_tile, but ask nobody. oneDNN does ask, when it
first multiplies large matrices with them; a short prompt that comes before that ended the worker with SIGILL.
The protocol: https://docs.kernel.org/arch/x86/xstate.html.
"""

import ctypes
import os
import platform

SYS_ARCH_PRCTL = 158
ARCH_REQ_XCOMP_PERM = 0x1023
XFEATURE_XTILEDATA = 18


def request_tiles() -> None:
    """A CPU without AMX, or a Linux older than it, refuses; then there is nothing that needs the permission."""
    libc = ctypes.CDLL(None)
    libc.syscall(ctypes.c_long(SYS_ARCH_PRCTL), ctypes.c_ulong(ARCH_REQ_XCOMP_PERM), ctypes.c_ulong(XFEATURE_XTILEDATA))


if os.name == "posix" and platform.machine() == "x86_64":
    request_tiles()
