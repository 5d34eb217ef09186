"""What a simulated cluster is given to do, and with what: analyses and encodings that cost nothing, nodes, an archive, a meter."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import sqlalchemy as sa

from benchmarks._scale_archive import DIMENSION, SIDE
from benchmarks.search import draw
from casewise.archive import Archive
from casewise.archive.columns import Written
from casewise.case import Case
from casewise.header import Header
from casewise.image import Image
from casewise.pipeline.archived import Outcome
from casewise.pipeline.embedding import Ids
from casewise.workers import Workers
from casewise.workers.contract import Do
from tests.postgresql import postgresql_server

_STORE = 80 * 2**20  # bytes of each node's object store; the least that Ray takes is 75 MiB


@dataclass(frozen=True)
class EmptyAnalysis:
    """In the place of :class:`casewise.pipeline.archived.ArchiveAnalysis`: each image gets the same result, written before."""

    document: str

    @contextmanager
    def __call__(self) -> Iterator[Do[str, Outcome]]:
        yield self._do

    def _do(self, keys: Sequence[str]) -> Iterator[Outcome]:
        for _ in keys:
            yield Outcome(Written(self.document))


class Drawn:
    """An encoder that draws clustered vectors, whatever the images are."""

    key = "drawn"
    dimension = DIMENSION

    def encode(self, images: Sequence[Image], regions: Any = None) -> npt.NDArray[np.float32]:
        return draw("clustered", len(images), int.from_bytes(os.urandom(4), "little"))


class Unread(Archive):
    """An archive whose images are all one picture in memory: what a catalogue says is read, and no file."""

    _picture = Image(np.zeros((1, SIDE, SIDE), np.uint8), header=Header(spacing_known=False))

    def cases(self, *arguments: Any, keys: Collection[str] | None = None, **more: Any) -> list[Case]:
        return [replace(case, load_image=lambda: self._picture) for case in super().cases(*arguments, keys=keys, **more)]


class Unindexed(Archive):
    """An archive without the index that follows new vectors: what each of the two takes is measured by itself."""

    def index(self, encoder: Any, grown: bool) -> None:
        return None


@dataclass(frozen=True)
class EmptyEmbedding:
    """In the place of :class:`casewise.pipeline.embedding.Embedding`."""

    archive: Path

    @contextmanager
    def __call__(self) -> Iterator[Do[Ids, int]]:
        with Unread.open(self.archive) as archive:
            yield lambda batches: (archive.embed_these(Drawn(), ids) for ids in batches)


@contextmanager
def cluster(nodes: int) -> Iterator[Callable[[int], Workers]]:
    """Ray's own simulation: nodes with a CPU each, whose processes all run on this machine. Gives workers on so many of them."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    from casewise.workers.on_ray import OnRay

    folder = tempfile.mkdtemp(prefix="cluster-", dir="/tmp")  # of sockets, whose paths must be short
    node = {"num_cpus": 1, "object_store_memory": _STORE, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args={**node, "temp_dir": folder})
    try:
        for _ in range(nodes - 1):
            made.add_node(**node)
        made.wait_for_nodes()
        with closing(OnRay(made.address)):
            yield lambda size: OnRay(made.address, size)
    finally:
        made.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def archive_of(count: int) -> Iterator[Archive]:
    """An archive on a PostgreSQL of its own, which writes to disk what it commits, with ``count`` images in the catalogue alone."""
    with (
        tempfile.TemporaryDirectory(prefix="casewise-cluster-") as name,
        postgresql_server(durable=True) as url,
        Unindexed.open(Path(name) / "archive", create=True, database=url) as archive,
    ):
        with archive._catalogue.write() as connection:
            connection.execute(sa.text(_ROWS), {"count": count, "shape": f"[{SIDE}, {SIDE}]"})
        yield archive


_ROWS = """
INSERT INTO images (key, path, name, kind, files, copied, shape, channels, spacing, site, content)
SELECT md5(CAST(n AS text)), '/films/' || n || '.png', n || '.png', 'PNG', '[]', false, CAST(:shape AS json), 1, '[1, 1]',
       'site' || n % 7, '{}'
FROM generate_series(1, :count) AS n
"""


def groups() -> dict[str, list[psutil.Process]]:
    """The processes of a run, by what they are."""
    found: dict[str, list[psutil.Process]] = {"command": [psutil.Process()], "workers": [], "Ray": [], "PostgreSQL": []}
    for process in psutil.Process().children(recursive=True):
        try:
            words = " ".join(process.cmdline())
        except psutil.Error:
            continue
        found["workers" if words.startswith("ray::_Actor") else "Ray"].append(process)
    for process in psutil.process_iter(["name"]):  # a daemon, which is nobody's child
        if process.info["name"] == "postgres":
            found["PostgreSQL"].append(process)
    return found


class Meter:
    """Processor seconds and memory of each group of :func:`groups`, looked at twice a second."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[str, int, float], float] = {}
        self._before: dict[tuple[str, int, float], float] = {}
        self.peak: dict[str, int] = {}

    def look(self) -> None:
        resident: dict[str, int] = {}
        for name, processes in groups().items():
            for process in processes:
                try:
                    times, about = process.cpu_times(), process.memory_info()
                    key = (name, process.pid, process.create_time())
                except psutil.Error:
                    continue
                self._seconds[key] = times.user + times.system
                resident[name] = resident.get(name, 0) + about.rss - (about.shared if name == "PostgreSQL" else 0)
        self.peak = {name: max(size, self.peak.get(name, 0)) for name, size in {**self.peak, **resident}.items()}

    def begin(self) -> None:
        self.look()
        self._before = dict(self._seconds)

    def processor(self) -> dict[str, float]:
        spent: dict[str, float] = {}
        for key, seconds in self._seconds.items():
            spent[key[0]] = spent.get(key[0], 0.0) + seconds - self._before.get(key, 0.0)
        return spent


def metered(call: Callable[[], Any]) -> Mapping[str, Any]:
    """Seconds of a call; processor seconds, and MiB at most, by group of processes."""
    meter, done = Meter(), threading.Event()
    meter.begin()

    def watch() -> None:
        while not done.wait(0.5):
            meter.look()

    watcher = threading.Thread(target=watch)
    began = time.perf_counter()
    watcher.start()
    try:
        call()
    finally:
        seconds = time.perf_counter() - began
        done.set()
        watcher.join()
    meter.look()
    memory = {name: size / 2**20 for name, size in meter.peak.items()}
    return {"seconds": seconds, "processor": meter.processor(), "memory": memory, "load": os.getloadavg()[0]}
