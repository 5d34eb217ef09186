"""Damages files of every format and reads them in a process of its own, whose memory and time are limited.

``python -m tests.formats.fuzzing --count 2000 [--seed 0] [--only WORD]`` prints what came of them by format, and how each failure
can be made again. A failure is: another error than a sentence, more than 20 s or 1 GiB, a crash, a file opened to be written
outside the working folder, or, where the format itself carries a checksum, other voxels than the undamaged file's without a word.

``--read`` (for the process apart) takes paths on stdin and prints a JSON line for each.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import os
import random
import re
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

MEMORY = 1 << 30
SECONDS = 20
_BATCH = 100
_EXTREMES = (
    b"0",
    b"1",
    b"-1",
    b"-3",
    b"65535",
    b"65536",
    b"2147483647",
    b"4294967296",
    b"99999999999999999999",
    b"1e308",
    b"nan",
    b"",
)


@dataclass(frozen=True)
class Sample:
    """An undamaged file. ``checked``: the bytes from which to which its format carries a checksum, None: it carries none."""

    path: Path
    checked: tuple[int, int] | None = None

    @property
    def format(self) -> str:
        return self.path.name.partition("-")[2] or self.path.name


def damaged(data: bytes, seed: int) -> bytes:
    """A copy with one damage, often near the header: to bits, a stretch of bytes, a number, or the end."""
    rng = random.Random(seed)
    copy = bytearray(data)
    reach = len(copy) if rng.random() < 0.5 else min(len(copy), 512)
    start = rng.randrange(reach)
    end = min(len(copy), start + rng.choice([1, 4, 16, 35, 256, 1847, len(copy) // 4 + 1]))
    length = end - start
    way = rng.choice(["flip", "flip", "zero", "cut", "noise", "drop", "insert", "copy", "number", "number", "append"])
    if way == "flip":
        for _ in range(rng.choice([1, 4, 32])):
            copy[rng.randrange(reach)] ^= 1 << rng.randrange(8)
    elif way == "cut":
        del copy[rng.randrange(len(copy)) :]
    elif way == "drop":
        del copy[start:end]
    elif way == "insert":
        copy[start:start] = rng.randbytes(length)
    elif way == "copy":
        source = rng.randrange(len(copy) - length + 1)
        copy[start:end] = data[source : source + length]
    elif way == "append":
        copy += rng.choice([bytes(length), rng.randbytes(length), bytes(data[:length])])
    elif way == "number":
        return _other_number(data, rng)
    else:
        copy[start:end] = bytes(length) if way == "zero" else rng.randbytes(length)
    return bytes(copy)


def _other_number(data: bytes, rng: random.Random) -> bytes:
    """One number of the header set to an extreme: written in digits (NRRD, MetaImage), or stored as 2, 4 or 8 bytes."""
    found = list(re.finditer(rb"(?<=[ =:])-?\d+(?:\.\d+)?", data[:1024]))
    if found and data[:4] in (b"NRRD", b"Obje"):
        match = rng.choice(found)
        return data[: match.start()] + rng.choice(_EXTREMES) + data[match.end() :]
    width = rng.choice([1, 2, 4, 8])
    place = rng.randrange(max(1, min(len(data), rng.choice([600, 2048, len(data)])) - width))
    value = rng.choice([0, 1, (1 << (8 * width - 1)) - 1, 1 << (8 * width - 1), (1 << 8 * width) - 1, rng.getrandbits(8 * width)])
    stored = struct.pack("<Q", value)[:width]
    return data[:place] + (stored if rng.random() < 0.5 else stored[::-1]) + data[place + width :]


def read_apart(paths: list[Path], timeout: float) -> list[dict[str, object]]:
    """What reading each file came to, in a process with 1 GiB of memory beyond its libraries and 20 s a file.

    A process that ends before its last file (killed, crashed) leaves the file that it died of as the first that is missing.
    """
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, str(Path(__file__).resolve()), "--read"],
            input=json.dumps([str(path) for path in paths]),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ, "TMPDIR": folder},
        )
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def failures_of(
    samples: list[Sample], folder: Path, count: int, seed: int
) -> tuple[list[str], dict[str, collections.Counter[str]]]:
    """Read ``count`` damaged copies, made in ``folder``: sentences on what failed, and what came of them by format."""
    undamaged = {str(one["path"]): one for one in read_apart([sample.path for sample in samples], timeout=len(samples) * SECONDS)}
    failures: list[str] = []
    for sample in samples:
        if "shape" not in undamaged.get(str(sample.path), {}):
            failures.append(f"{sample.format} cannot be read undamaged: {undamaged.get(str(sample.path))}")
    tally: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    waiting = [_copy(samples, folder, seed + number) for number in range(count)]
    while waiting:
        batch, waiting = waiting[:_BATCH], waiting[_BATCH:]
        results = read_apart([path for path, _, _ in batch], timeout=60 + len(batch) * SECONDS)
        for (path, sample, guarded), result in zip(batch, results, strict=False):
            right = undamaged.get(str(sample.path), {}).get("digest") == result.get("digest")
            word = _word(result, guarded, right)
            tally[sample.format][word] += 1
            tally["all"][word] += 1
            if word not in ("refused", "read"):
                failures.append(f"{path.name}: {word}: {json.dumps(result)[:400]}")
        if len(results) < len(batch):
            path, sample, _ = batch[len(results)]
            tally[sample.format]["crashed or over limits"] += 1
            tally["all"]["crashed or over limits"] += 1
            failures.append(f"{path.name}: the reader died of it, or took more than {SECONDS} s")
            waiting = batch[len(results) + 1 :] + waiting
    return failures, tally


def _copy(samples: list[Sample], folder: Path, seed: int) -> tuple[Path, Sample, bool]:
    """A damaged copy, and whether the damage is where the format's own checksum must tell of it."""
    rng = random.Random(-1 - seed)
    # DICOM, of which there are most ways, twice as often as each other kind of file.
    ending = rng.choice([*sorted({sample.path.suffix for sample in samples}), *({".dcm"} & {one.path.suffix for one in samples})])
    sample = rng.choice([one for one in samples if one.path.suffix == ending])
    data = sample.path.read_bytes()
    other = damaged(data, seed)
    path = folder / f"{seed}-{sample.path.name}"
    path.write_bytes(other)
    if (voxels := sample.path.with_suffix(".img")).exists():
        path.with_suffix(".img").write_bytes(voxels.read_bytes())
    if sample.checked is None:
        return path, sample, False
    first, last = sample.checked
    behind = len(data) - last
    return path, sample, other[:first] == data[:first] and other[len(other) - behind :] == data[last:]


def _word(result: dict[str, object], guarded: bool, right: bool) -> str:
    reason = str(result.get("reason", ""))
    if "escaped" in result:
        return "another error"
    if result.get("written"):
        return "wrote elsewhere"
    if int(str(result["peak"])) > MEMORY or float(str(result["seconds"])) > SECONDS or "needs more memory" in reason:
        return "over limits"
    if reason:
        return "refused" if "\n" not in reason and str(result["path"]) in reason else "not one sentence that names the file"
    return "read" if right or not guarded else "wrong in spite of a checksum"


def _limit_memory() -> int:
    """One GiB of address space beyond what the libraries take once they are loaded; returns what they take, resident."""
    import h5py  # noqa: F401
    import nibabel  # noqa: F401
    import pydicom.pixels
    import SimpleITK  # noqa: F401
    import tifffile  # noqa: F401
    from PIL import BmpImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin  # noqa: F401

    for uid in ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"):
        pydicom.pixels.get_decoder(uid)
    limit = _memory("VmSize") + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    return _memory("VmRSS")


def _memory(name: str) -> int:
    """Bytes, as the kernel counts this process alone; `getrusage` would count its parent's peak too."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def _read_all(paths: list[str]) -> None:
    from casewise.errors import UnreadableImageError
    from casewise.formats import read

    before = _limit_memory()
    written: list[str] = []
    own = os.environ.get("TMPDIR", "/nowhere")

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and len(arguments) == 3 and isinstance(arguments[0], str) and isinstance(arguments[2], int):
            writing = arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if writing and not str(Path(arguments[0]).absolute()).startswith((own, "/dev/null")):
                written.append(arguments[0])

    sys.addaudithook(watch)
    for path in paths:
        signal.alarm(SECONDS)
        started = time.monotonic()
        result: dict[str, object] = {"path": path}
        try:
            image = read(path)
            result["shape"] = list(image.array.shape)
            result["digest"] = hashlib.sha256(
                str((image.array.dtype, image.array.shape)).encode() + image.array.tobytes()
            ).hexdigest()
            del image
        except UnreadableImageError as error:
            result["reason"] = str(error)
        except BaseException as error:
            result["escaped"] = repr(error)
        signal.alarm(0)
        result |= {"seconds": round(time.monotonic() - started, 3), "peak": _memory("VmHWM") - before, "written": written[:3]}
        written.clear()
        print(json.dumps(result), flush=True)


def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0, help="of the first file; each further one is one more")
    parser.add_argument("--only", default="", help="only formats with this word in their name")
    parser.add_argument("--folder", type=Path, help="keep the damaged files there")
    parser.add_argument("--read", action="store_true")
    given = parser.parse_args()
    if given.read:
        _read_all(json.loads(sys.stdin.read()))
        return 0
    from tests.formats.fuzzing_samples import samples_in

    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        (folder / "damaged").mkdir(parents=True, exist_ok=True)
        samples = [sample for sample in samples_in(folder) if given.only in sample.format]
        started = time.monotonic()
        failures, tally = failures_of(samples, folder / "damaged", given.count, given.seed)
        for name in sorted(tally, key=lambda name: (name == "all", name)):
            print(f"{name:40s}", ", ".join(f"{word} {number}" for word, number in tally[name].most_common()))
        print(f"{given.count} files of {len(samples)} samples in {time.monotonic() - started:.0f} s")
        for failure in failures:
            print("FAILED", failure)
        if failures:
            print(
                f"The number before a file's name is its seed: --count 1 --seed N --only '{given.only}' --folder F makes it again."
            )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(_main())
