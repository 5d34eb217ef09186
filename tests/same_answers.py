"""Whether two checkouts answer alike, bit for bit: ``python -m tests.same_answers BEFORE AFTER`` (each with its ``.venv``).

Both run the same commands on 50 real images: whatever the router sends them to, what runs on request, similar cases, boxes that are
segmented, and twenty steps of training. Compared are the JSON documents (without seconds, and with paths by file name) and the
voxels of every mask and map that was written. It prints a line for each command and ends with 1 where any answer differs.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(os.environ.get("CASEWISE_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
_TIMES = {"seconds", "report", "log"}
_VOXELS = (".nii.gz", ".png", ".safetensors", ".npy")
Step = tuple[str, list[str]]


def some(folder: str, count: int) -> list[str]:
    """Evenly spread files of a folder of the real images."""
    files = sorted(path for path in (ROOT / folder).rglob("*") if path.is_file() and path.suffix not in (".txt", ".csv", ".md"))
    return [str(files[place * len(files) // count]) for place in range(count)]


def steps(work: Path) -> Iterator[Step]:
    """Name and arguments of each command; ``work`` is the checkout's own folder for what it writes."""
    films = [*some("jsrt/images", 8), *some("montgomery/images", 5), *some("shenzhen/images", 4), *some("nih-cxr1024/images", 3)]
    others = [
        *some("busi/malignant", 3),
        *some("busi/normal", 2),
        *some("acdc", 4),
        *some("mednist/Hand", 2),
        *some("head-ct-hemorrhage/images", 2),
    ]
    others += [
        *some("dicom-more", 2),
        *some("brain-tumour/pituitary_tumor", 2),
        str(ROOT / "totalseg-example" / "example_ct_sm.nii.gz"),
    ]
    yield "films", ["analyze", *films, "--output", str(work / "films"), "--json"]
    yield "other kinds", ["analyze", *others, "--output", str(work / "others"), "--json"]
    volumes = some("hippocampus/images", 4)
    yield "hippocampus", ["analyze", *volumes, "--application", "hippocampus", "--output", str(work / "hippocampus"), "--json"]
    yield "tuberculosis", ["analyze", *films[8:12], "--application", "tuberculosis", "--output", str(work / "tb"), "--json"]
    yield "abnormality", ["analyze", *films[8:10], "--application", "abnormality", "--output", str(work / "abnormality"), "--json"]
    for patient in sorted((ROOT / "brats-cbica").iterdir())[:2]:
        if patient.is_dir():
            named = [
                f"--sequence={name}={patient / name}.nii.gz" for name in ("FLAIR", "T1") if (patient / f"{name}.nii.gz").is_file()
            ]
            yield f"examination {patient.name}", ["analyze", *named, "--output", str(work / patient.name), "--json"]
    for patient in sorted((ROOT / "wmh").iterdir())[:1]:
        flair = patient / "t2flair-stripped.nii.gz"
        yield "white matter", ["analyze", str(flair), "--output", str(work / "wmh"), "--json"]
    yield "route", ["route", *films[:4], *others[:8], "--json"]
    yield "import", ["import", str(work / "archive"), str(ROOT / "hippocampus"), "--json"]
    yield "similar", ["similar", str(work / "archive"), volumes[1], "-k", "6", "--json"]
    box = ["--box", "10:25,10:35,8:25"]
    yield "segment 3D", ["segment", volumes[0], *box, "--output", str(work / "object.nii.gz"), "--json"]
    yield "segment 2D", ["segment", films[0], "--box", "300:700,150:450", "--output", str(work / "object.png"), "--json"]
    made = [str(work / "archive"), "--structure", "hippocampus=label_1+label_2", "--output", str(work / "model")]
    yield "training", ["train", "segmenter", *made, "--steps", "20", "--json"]


def plain(value: Any, work: str) -> Any:
    """A document without times, and with files by their names."""
    if isinstance(value, dict):
        return {key: plain(item, work) for key, item in value.items() if key not in _TIMES}
    if isinstance(value, list):
        return [plain(item, work) for item in value]
    return value.replace(work, "WORK") if isinstance(value, str) else value


def voxels(folder: Path) -> dict[str, str]:
    """Hash of the content of each file that holds voxels or weights, by its path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name.endswith(_VOXELS) and "archive" not in path.parts:
            content = path.read_bytes()
            found[str(path.relative_to(folder))] = hashlib.sha256(
                gzip.decompress(content) if path.name.endswith(".gz") else content
            ).hexdigest()
    return found


def answers(checkout: Path, name: str, arguments: list[str], work: Path) -> tuple[int, Any]:
    """Exit status, and the document that the command printed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    program = [str(checkout / ".venv" / "bin" / "python"), "-m", "casewise", *arguments]
    done = subprocess.run(program, capture_output=True, text=True, env=environment, cwd=work, check=False)
    try:
        return done.returncode, plain(json.loads(done.stdout), str(work))
    except json.JSONDecodeError:
        return done.returncode, f"{name}: {done.stderr[-2000:]}"


def different(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Where two documents differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            yield from different(before.get(key), after.get(key), f"{path}.{key}")
    elif isinstance(before, list | tuple) and isinstance(after, list | tuple) and len(before) == len(after):
        for place, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from different(one, other, f"{path}[{place}]")
    elif before != after:
        yield f"{path}: {str(before)[:160]} | {str(after)[:160]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--only", default="", help="run the commands whose name begins so")
    options = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        works = [Path(folder) / name for name in ("before", "after")]
        for work in works:
            work.mkdir()
        for (name, first), (_, second) in zip(steps(works[0]), steps(works[1]), strict=True):
            if not name.startswith(options.only):
                continue
            one, other = (
                answers(checkout.resolve(), name, arguments, work)
                for checkout, arguments, work in zip((options.before, options.after), (first, second), works, strict=True)
            )
            found = list(different(one, other))
            wrong += bool(found)
            print(f"{name}: exit {one[0]}, {'same' if not found else f'{len(found)} differences'}", flush=True)
            for line in found[:12]:
                print(f"  {line}")
        files = list(different(*(voxels(work) for work in works)))
        print(f"files: {len(voxels(works[0]))} with voxels or weights, {len(files)} differ")
        for line in files[:20]:
            print(f"  {line}")
    return int(bool(wrong or files))


if __name__ == "__main__":
    sys.exit(main())
