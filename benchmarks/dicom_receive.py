"""Objects a second that the receiver takes in, beside Orthanc and dcmtk's storescp: the same files, by the same sender (storescu).

MR slices of 512×512 and films of 2500×3000, of 16 bits, on one association and on four at once. Each receiver is a process of its
own on an empty folder; they take turns, round after round. Needs Orthanc and dcmtk.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pydicom
from pydicom.uid import generate_uid

from benchmarks import driver
from benchmarks._dicom_receivers import RECEIVERS, Running
from benchmarks.tables import table
from tests.dicom_studies import film, oblique_mr

KINDS = {"slices": "MR slices 512×512", "films": "films 2500×3000"}
COUNTS = {"slices": 200, "films": 24}
SENDERS = (1, 4)
ROUNDS = 5
BOUND = 20.0  # instances a second


def _files(folder: Path, kind: str, count: int) -> list[Path]:
    if kind == "slices":
        return oblique_mr(folder, count, rows=512, columns=512).files
    (first,) = film(folder).files
    dataset = pydicom.dcmread(first)
    for number in range(1, count):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.save_as(folder / f"film-{number}.dcm")
    return sorted(folder.glob("*.dcm"))


def measured(kind: str, rounds: int, count: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="casewise-dicom-") as name:
        root = Path(name)
        folder = root / "sent"
        folder.mkdir()
        files = _files(folder, kind, count)
        rows = []
        for number in range(rounds):
            for senders in SENDERS:
                for receiver in RECEIVERS:
                    rows.append({"kind": kind, "round": number, "senders": senders, **_taken_in(root, receiver, files, senders)})
        return rows


def _taken_in(root: Path, receiver: str, files: list[Path], senders: int) -> dict[str, Any]:
    """One receiver takes all files in."""
    for file in files:
        file.read_bytes()  # the sender reads from memory
    folder = root / "receiver"
    try:
        with RECEIVERS[receiver](folder) as running:
            load, spent, began = os.getloadavg()[0], running.cpu_seconds(), time.perf_counter()
            sending = [_sender(running, files[number::senders]) for number in range(senders)]
            codes = [process.wait() for process in sending]
            seconds = time.perf_counter() - began
            assert codes == [0] * senders, f"{receiver}: storescu ended with {codes}"
            assert running.count() == len(files), f"{receiver} holds {running.count()} of {len(files)}"
            return {
                "receiver": receiver,
                "instances": len(files),
                "seconds": round(seconds, 3),
                "cpu_seconds": round(running.cpu_seconds() - spent, 3),
                "peak_mib": round(running.peak_mib()),
                "load": round(load, 1),
            }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sender(running: Running, files: list[Path]) -> subprocess.Popen[bytes]:
    program = shutil.which("storescu") or "storescu"
    command = [program, "-aet", "SCANNER", "-aec", running.title, "127.0.0.1", str(running.port), *map(str, files)]
    return subprocess.Popen(command)


def figures(units: driver.Rows) -> Mapping[str, Any]:
    rows = [row for kind in KINDS for row in units[kind]]
    parts = {
        (kind, senders): [row for row in rows if (row["kind"], row["senders"]) == (kind, senders)]
        for kind in KINDS
        for senders in SENDERS
    }
    lines = [_line(KINDS[kind], senders, name, part) for (kind, senders), part in parts.items() for name in RECEIVERS]
    slowest = min(_median(_rate, [row for row in part if row["receiver"] == "casewise"]) for part in parts.values())
    counts = {kind: units[kind][0]["instances"] for kind in KINDS}
    head = ["files", "associations", "receiver", "instances/s", "times casewise's", "CPU ms each", "most memory, MiB"]
    return {
        "table": table(head, lines),
        "rounds": len({row["round"] for row in rows}),
        "slowest": f"{slowest:.0f}",
        "bound": f"{BOUND:.0f}, {'kept' if slowest >= BOUND else 'not kept'}",
        "counts": ", ".join(f"{count} {KINDS[kind]}" for kind, count in counts.items()),
        "load": f"{statistics.median(row['load'] for row in rows):.0f}",
    }


def _line(title: str, senders: int, name: str, rows: list[dict[str, Any]]) -> list[str]:
    own = {row["round"]: _rate(row) for row in rows if row["receiver"] == "casewise"}
    of = [row for row in rows if row["receiver"] == name]
    ratio = statistics.median(_rate(row) / own[row["round"]] for row in of)
    return [
        title,
        str(senders),
        name,
        f"{_median(_rate, of):.0f}",
        "" if name == "casewise" else f"{ratio:.2f}",
        f"{_median(lambda row: 1000 * row['cpu_seconds'] / row['instances'], of):.1f}",
        f"{_median(lambda row: row['peak_mib'], of):.0f}",
    ]


def _rate(row: Mapping[str, Any]) -> float:
    return float(row["instances"] / row["seconds"])


def _median(value: Any, rows: list[dict[str, Any]]) -> float:
    return statistics.median(value(row) for row in rows)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--small", action="store_true", help="one round of few files; printed and not kept")


def units(options: argparse.Namespace) -> Iterator[driver.Unit]:
    for kind in KINDS:
        count, rounds = (COUNTS[kind] // 8, 1) if options.small else (COUNTS[kind], ROUNDS)
        yield driver.Unit(kind, partial(measured, kind, rounds, count), key="small" if options.small else "")


BENCHMARK = driver.Benchmark(
    "dicom_receive", __doc__, units, figures, options=_options, published=lambda options: not options.small
)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
