"""Memory that was freed and is asked for again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from casewise.allocation import keep_freed
def held():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
if sys.argv[1] == "kept":
    keep_freed()
before = held()
np.ones(40 << 20, np.uint8)
print(held() - before)
"""


def left(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library decides for itself")
def test_the_pages_of_a_freed_array_stay() -> None:
    if tuple(map(int, platform.libc_ver()[1].split("."))) < (2, 35):
        pytest.skip("this glibc maps arrays of this size, whatever is asked of it")
    assert left("kept") > 30 << 20 > left("given back")
