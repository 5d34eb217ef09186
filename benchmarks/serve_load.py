"""Four people outline while an analysis of 100 images runs: how long do they wait, and is a stroke lost?

A server and a worker in processes of their own, as `casewise serve` starts them, on loopback. Each of the four scripted annotators
takes a picture of 256×256 after the other: a box, then a stroke of 25 voxels a second, the object and the rest in turn, eight of
them; every second one is sent in two halves, the second before the first is answered, so that orders wait and are merged. What was
drawn is then compared with the mask, voxel by voxel, and accepted. The images analysed are chest radiographs of 512×512.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks import driver
from benchmarks._serving import Annotator, Server, archive_of, serving
from benchmarks.serve_rounds import GRIDS, picture_of, strokes_of
from benchmarks.tables import table
from casewise.archive import Archive
from experiments import datasets

PEOPLE, ANALYSED, STROKES = 4, 100, 8
PAUSE = 1.0  # seconds between two strokes
LONGEST = 300.0  # seconds after which nobody begins another picture
BOUND = 0.6  # seconds, 95th percentile of a round


class Person:
    """Outlines until told to stop. rounds : seconds of each. lost : voxels of strokes that the mask does not obey."""

    def __init__(self, server: Server, keys: list[str], seed: int) -> None:
        self._server, self._keys, self._seed = server, keys, seed
        self.rounds: list[float] = []
        self.merged, self.lost, self.pictures = 0, 0, 0
        self.errors: list[str] = []

    def work(self, until: threading.Event) -> None:
        time.sleep(self._seed * PAUSE / PEOPLE)
        with self._server.client() as client, ThreadPoolExecutor(2) as hands:
            while not until.is_set():
                try:
                    self._outline(Annotator(client), Annotator(client), self._keys[self.pictures % len(self._keys)], hands)
                except RuntimeError as error:
                    self.errors.append(str(error))
                self.pictures += 1

    def _outline(self, annotator: Annotator, other: Annotator, key: str, hands: ThreadPoolExecutor) -> None:
        grid = GRIDS[0]
        annotator.open(key, f"object {self._seed} {self.pictures}", grid.shape)
        annotator.box([[int(n // 2 - side // 2), int(n // 2 + side // 2)] for n, side in zip(grid.shape, grid.box, strict=True)])
        drawn = np.zeros(grid.shape, np.int8)
        for number in range(STROKES):
            time.sleep(PAUSE)
            foreground, background = strokes_of(grid, 100 * self._seed + 10 * self.pictures + number)
            drawn[tuple(foreground.T)], drawn[tuple(background.T)] = 1, -1
            if number % 2:
                self._in_halves(annotator, other, foreground, background, hands)
            else:
                annotator.strokes(foreground, background)
                self.rounds.append(annotator.seconds[-1][0])
        mask = annotator.whole()
        self.lost += int((~mask[drawn > 0]).sum() + mask[drawn < 0].sum())
        annotator.accept()

    def _in_halves(
        self, annotator: Annotator, other: Annotator, foreground: np.ndarray, background: np.ndarray, hands: ThreadPoolExecutor
    ) -> None:
        other.id, other.shape, other.round, other.mask = annotator.id, annotator.shape, annotator.round, annotator.mask.copy()
        halves = [(part[: len(part) // 2], part[len(part) // 2 :]) for part in (foreground, background)]
        asked = [hands.submit(one.strokes, halves[0][n], halves[1][n]) for n, one in enumerate((annotator, other))]
        for one in asked:
            try:
                one.result()
            except RuntimeError as error:
                if " 409 " not in str(error):
                    raise
                # It came after the first was answered: sent again on the round that is there by now, as the page does.
                annotator.again()
                missed = int(one is asked[1])
                annotator.strokes(halves[0][missed], halves[1][missed])
        self.rounds += [annotator.seconds[-1][0], *([other.seconds[-1][0]] if other.seconds else [])]
        self.merged += annotator.merged > 1 or other.merged > 1
        annotator.again()


def measured() -> dict[str, Any]:
    pictures = {f"picture {n}": picture_of(GRIDS[0], n) for n in range(2 * PEOPLE)}
    films = [path for site in ("montgomery", "shenzhen") for path in sorted((datasets.path(site) / "images").glob("*"))]
    with archive_of(pictures) as (folder, keys):
        own = list(keys.values())
        with Archive.open(folder) as archive:
            archive.import_paths(films[:ANALYSED])
            analysed = [record.key for record in archive.images() if record.key not in own][:ANALYSED]
        with serving(folder) as server, server.client(role="admin") as client:
            people = [Person(server, own[n::PEOPLE], n) for n in range(PEOPLE)]
            worker = subprocess.Popen([sys.executable, "-m", "casewise.server.worker", str(folder)], stdin=subprocess.PIPE)
            answer = client.post("/api/v1/jobs", json={"kind": "analyse", "cases": analysed}).json()
            done = threading.Event()
            threads = [threading.Thread(target=person.work, args=(done,)) for person in people]
            began = time.perf_counter()
            for thread in threads:
                thread.start()
            job = answer
            while time.perf_counter() - began < LONGEST and job["state"] in ("waiting", "running"):
                time.sleep(2)
                job = client.get(f"/api/v1/jobs/{answer['id']}").json()
            took = time.perf_counter() - began
            done.set()
            for thread in threads:
                thread.join()
            resident = server.resident()
            assert worker.stdin is not None
            worker.stdin.close()
            worker.wait(60)
    return {
        "rounds": [round(value, 4) for person in people for value in person.rounds],
        "pictures": sum(person.pictures for person in people),
        "merged": sum(person.merged for person in people),
        "lost": sum(person.lost for person in people),
        "errors": [error for person in people for error in person.errors],
        "job": {"state": job["state"], "progress": job["progress"], "seconds": round(took, 1)},
        "resident": round(resident),
    }


def units(options: Namespace) -> Iterator[driver.Unit]:
    yield driver.Unit("load", measured)


def figures(units: driver.Rows) -> Mapping[str, Any]:
    found = units["load"]
    rounds = found["rounds"]
    median, high, longest = (1000 * float(np.percentile(rounds, share)) for share in (50, 95, 100))
    done, total = found["job"]["progress"]
    line = [
        str(len(rounds)),
        f"{median:.0f}",
        f"{high:.0f} ({'kept' if high <= 1000 * BOUND else 'not kept'})",
        f"{longest:.0f}",
        str(found["pictures"]),
        str(found["merged"]),
        str(found["lost"]),
        str(len(found["errors"])),
    ]
    head = [
        "rounds",
        "median, ms",
        f"95th, ms (bound {1000 * BOUND:.0f})",
        "longest",
        "pictures",
        "merged",
        "voxels lost",
        "errors",
    ]
    job = f"{done} of {total} images analysed in {found['job']['seconds']:.0f} s ({found['job']['state']})"
    return {"table": table(head, [line]), "job": job, "resident": found["resident"]}


BENCHMARK = driver.Benchmark("serve_load", __doc__, units, figures)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
