"""Films from a PACS to casewise and results back: how long does one take, and do 1,000 an hour get through with memory flat?

Orthanc is the PACS. `storescu` sends each film (2500×3000, 12 bits, a study of its own) to `casewise serve --dicom-port`, which
finds it complete, routes and analyses it, and sends a structured report and a secondary capture to Orthanc. The time of a film
is from the start of its `storescu` to the moment at which Orthanc has its report. Films are public radiographs, each with noise
of its own, so that none is known already.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from skimage.transform import resize

import casewise
from benchmarks import driver
from benchmarks.tables import table
from casewise.archive import Archive
from experiments import datasets
from tests.dicom_studies import film
from tests.orthanc import Orthanc, free_port, orthanc

ALONE = 12  # films one after another
PER_HOUR = 1000
ROWS, COLUMNS = 3000, 2500
BOUND = 15.0  # seconds, of a film alone
_REPORTS = "1.2.840.10008.5.1.4.1.1.88.22"  # Comprehensive SR
_SETTINGS = """
ae_title = "CASEWISE"
[nodes.pacs]
ae_title = "ORTHANC"
host = "127.0.0.1"
port = {port}
[receive]
picture_idle_seconds = 1
[results]
send = ["pacs"]
"""


class Films:
    """Makes a new film's file at each call: (its study's UID, the file)."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._number = folder, 0
        sources = sorted((datasets.path("jsrt") / "images").glob("*.png"))
        self._arrays = [
            resize(casewise.read(path).array[0].astype(np.float32), (ROWS, COLUMNS), order=1) * 16 for path in sources[::6]
        ]
        self._random = np.random.default_rng(0)

    def next(self) -> tuple[str, Path]:
        self._number += 1
        array = self._arrays[self._number % len(self._arrays)]
        noise = self._random.integers(-8, 9, (ROWS // 10, COLUMNS // 10)).repeat(10, 0).repeat(10, 1)
        folder = self._folder / str(self._number)
        folder.mkdir()
        made = film(folder, np.clip(array + noise, 0, 4095).astype(np.uint16))
        return made.study_uid, made.files[0]


class Running:
    """casewise and Orthanc. process : the server's, with all its children."""

    def __init__(self, pacs: Orthanc, port: int, process: psutil.Process) -> None:
        self.pacs, self.port, self.process = pacs, port, process

    def send(self, path: Path) -> None:
        subprocess.run(["storescu", "-aec", "CASEWISE", "127.0.0.1", str(self.port), str(path)], check=True, capture_output=True)

    def reported(self) -> set[str]:
        """Studies of which Orthanc has a report."""
        found = self.pacs.post("/tools/find", {"Level": "Series", "Query": {"Modality": "SR"}, "Expand": True})
        parents = {one["ParentStudy"] for one in found}
        return {self._uid(parent) for parent in parents}

    def _uid(self, study: str) -> str:
        known: dict[str, str] = self.__dict__.setdefault("_uids", {})
        if study not in known:
            known[study] = self.pacs.get(f"/studies/{study}")["MainDicomTags"]["StudyInstanceUID"]
        return known[study]

    def resident(self) -> float:
        """MiB of all processes."""
        total = 0
        for one in [self.process, *self.process.children(recursive=True)]:
            try:
                total += one.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total / 2**20


@contextmanager
def running() -> Iterator[tuple[Running, Films]]:
    with tempfile.TemporaryDirectory() as place, orthanc(Path(place) / "orthanc") as pacs:
        folder, films = Path(place) / "archive", Path(place) / "films"
        films.mkdir()
        Archive.open(folder, create=True).close()
        (folder / "dicom.toml").write_text(_SETTINGS.format(port=pacs.port), encoding="utf-8")
        port = free_port()
        command = [
            sys.executable,
            "-m",
            "casewise",
            "serve",
            str(folder),
            "--port",
            "0",
            "--dicom-port",
            str(port),
            "--workers",
            "2",
            "--json",
        ]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            json.loads(server.stdout.readline())
            yield Running(pacs, port, psutil.Process(server.pid)), Films(films)
        finally:
            server.terminate()
            server.wait(60)


def one_by_one() -> list[dict[str, float]]:
    """Each film when the one before is through; the first finds nothing loaded."""
    rows = []
    with running() as (system, films):
        for number in range(ALONE + 1):
            study, path = films.next()
            began = time.perf_counter()
            system.send(path)
            sent = time.perf_counter() - began
            while study not in system.reported():
                if time.perf_counter() - began > 180:
                    raise RuntimeError("No report came within three minutes.")
                time.sleep(0.1)
            rows.append({"film": number, "sent": round(sent, 2), "seconds": round(time.perf_counter() - began, 2)})
    return rows


def at_once(minutes: float) -> dict[str, Any]:
    """A film every 3.6 s for ``minutes``, whether or not those before are through."""
    with running() as (system, films):
        sent: dict[str, float] = {}
        through: dict[str, float] = {}
        memory: list[tuple[float, float]] = []
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(1):
                now = time.perf_counter()
                for study in system.reported() - through.keys():
                    through[study] = now - sent[study]
                memory.append((round(now - began, 1), round(system.resident())))

        began = time.perf_counter()
        watching = threading.Thread(target=watch)
        watching.start()
        count = round(minutes * PER_HOUR / 60)
        for number in range(count):
            study, path = films.next()
            time.sleep(max(0.0, began + number * 3600 / PER_HOUR - time.perf_counter()))
            sent[study] = time.perf_counter()
            system.send(path)
            path.unlink()
        until = time.perf_counter() + 300
        while len(through) < count and time.perf_counter() < until:
            time.sleep(1)
        took = time.perf_counter() - began
        ended.set()
        watching.join()
        return {
            "sent": count,
            "through": len(through),
            "minutes": round(took / 60, 2),
            "seconds": [round(through[study], 2) for study in sent if study in through],
            "memory": memory[::10],
        }


def options(parser: ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, default=15.0, help="how long films are sent at the rate of 1,000 an hour")


def units(options: Namespace) -> Iterator[driver.Unit]:
    yield driver.Unit("alone", one_by_one)
    yield driver.Unit("load", lambda: at_once(options.minutes))


def figures(units: driver.Rows) -> Mapping[str, Any]:
    alone, load = units["alone"], units["load"]
    times = [row["seconds"] for row in alone[1:]]
    line = [f"{np.median(times):.1f}", f"{max(times):.1f}", f"{alone[0]['seconds']:.1f}", str(len(times))]
    first = table(["median, s", f"longest (bound {BOUND:.0f})", "the first, nothing loaded", "films"], [line])
    seconds, memory = load["seconds"], load["memory"]
    third = max(1, len(memory) // 3)
    early, late = (np.median([mib for _, mib in part]) for part in (memory[third : 2 * third] or memory, memory[-third:]))
    line = [
        f"{load['through']} of {load['sent']}",
        f"{60 * load['through'] / load['minutes']:.0f}",
        *(f"{np.percentile(seconds, share):.1f}" for share in (50, 95, 100)),
        f"{early:.0f}",
        f"{late:.0f}",
    ]
    head = ["films through", "an hour", "median, s", "95th", "longest", "MiB, second third", "MiB, last third"]
    return {"alone": first, "load": table(head, [line]), "minutes": load["minutes"]}


BENCHMARK = driver.Benchmark("dicom_load", __doc__, units, figures, options)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
