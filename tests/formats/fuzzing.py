"""Damages files and reads them in a process of its own, whose memory and time are limited.

As a script: ``python fuzzing.py`` takes paths on stdin and prints a JSON line for each: what came of reading it.
"""

from __future__ import annotations

import json
import random
import resource
import signal
import subprocess
import sys
from pathlib import Path

MEMORY = 1 << 30
SECONDS = 10


def damaged(data: bytes, seed: int) -> bytes:
    """A copy with flipped bits, a zeroed range, its end cut off, random bytes, or a stretch left out, often near the header."""
    rng = random.Random(seed)
    copy = bytearray(data)
    reach = len(copy) if rng.random() < 0.5 else min(len(copy), 512)
    way = rng.choice(["flip", "flip", "zero", "cut", "noise", "drop"])
    if way == "flip":
        for _ in range(rng.choice([1, 4, 32])):
            copy[rng.randrange(reach)] ^= 1 << rng.randrange(8)
    elif way == "cut":
        del copy[rng.randrange(len(copy)) :]
    else:
        start = rng.randrange(reach)
        end = min(len(copy), start + rng.choice([1, 4, 16, 256, len(copy) // 4 + 1]))
        if way == "drop":
            del copy[start:end]
        else:
            copy[start:end] = bytes(end - start) if way == "zero" else rng.randbytes(end - start)
    return bytes(copy)


def read_apart(paths: list[Path], timeout: float) -> list[dict[str, object]]:
    """What reading each file came to, in a process with 1 GiB of memory beyond its libraries and 10 s a file.

    A process that ends before its last file (killed, crashed) leaves the file that it died of as the first that is missing.
    """
    done = subprocess.run(
        [sys.executable, str(Path(__file__).resolve())],
        input="\n".join(map(str, paths)),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def _limit_memory() -> None:
    """One GiB of address space beyond what the libraries take once they are loaded."""
    import h5py  # noqa: F401
    import nibabel  # noqa: F401
    import pydicom.pixels
    import SimpleITK  # noqa: F401
    import tifffile  # noqa: F401
    from PIL import Image  # noqa: F401

    for uid in ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"):
        pydicom.pixels.get_decoder(uid)
    limit = _memory("VmSize") + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _memory(name: str) -> int:
    """Bytes, as the kernel counts this process alone; `getrusage` would count its parent's peak too."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def _main() -> None:
    from casewise.errors import UnreadableImageError
    from casewise.formats import read

    _limit_memory()
    for line in sys.stdin.read().splitlines():
        signal.alarm(SECONDS)
        result: dict[str, object] = {"path": line}
        try:
            image = read(line)
            result["shape"] = list(image.array.shape)
        except UnreadableImageError as error:
            result["reason"] = str(error)
        except BaseException as error:
            result["escaped"] = repr(error)
        signal.alarm(0)
        result["peak"] = _memory("VmHWM")
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    _main()
