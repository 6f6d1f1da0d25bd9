"""The permission for AMX tiles that every Python of the vLLM image asks for, in a process of its own."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "server_image" / "vllm_python"
PERMITTED = """
import ctypes
granted = ctypes.c_uint64()
ctypes.CDLL(None).syscall(ctypes.c_long(158), ctypes.c_ulong(0x1022), ctypes.byref(granted))  # ARCH_GET_XCOMP_PERM
print(granted.value >> 18 & 1)
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="AMX is a part of x86_64")
def test_a_python_of_the_image_may_use_the_tiles_that_its_cpu_has() -> None:
    environment = {**os.environ, "PYTHONPATH": str(FOLDER)}
    argv = [sys.executable, "-c", PERMITTED]
    said = subprocess.run(argv, env=environment, check=True, capture_output=True, text=True)
    has_tiles = " amx_tile" in Path("/proc/cpuinfo").read_text()
    assert (said.stdout.strip(), said.stderr) == (str(int(has_tiles)), "")
