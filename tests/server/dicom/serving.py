"""``casewise serve --dicom-port`` in a process of its own, and what is asked of it from outside."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa

from casewise.archive import Archive
from casewise.server.jobs import Job, Jobs
from casewise.server.network_tables import arrivals
from casewise.server.store import Store
from tests.programs import missing
from tests.server import serving
from tests.waiting import SECONDS, until


@dataclass(eq=False)
class Serving:
    """url : of the page. title, port : of the DICOM side. store : its tables."""

    folder: Path
    process: subprocess.Popen[str]
    url: str
    title: str
    port: int
    store: Store

    def receiver(self) -> psutil.Process:
        """The process on the network, once it is there."""
        found: list[psutil.Process] = []

        def look() -> bool:
            for child in psutil.Process(self.process.pid).children():
                try:
                    if child.status() != psutil.STATUS_ZOMBIE and "casewise.server.dicom.process" in child.cmdline():
                        found.append(child)
                except psutil.NoSuchProcess:
                    continue
            return bool(found)

        until(look)
        return found[-1]

    def answers(self) -> bool:
        """Whether it answers a C-ECHO."""
        command = [program("echoscu"), "-aec", self.title, "127.0.0.1", str(self.port)]
        return subprocess.run(command, capture_output=True, timeout=SECONDS, check=False).returncode == 0

    def storescu(self, *files: Path, title: str = "MODALITY") -> subprocess.Popen[bytes]:
        """A storescu that sends files, in their order, by one association."""
        command = [program("storescu"), "-aet", title, "-aec", self.title, "127.0.0.1", str(self.port), *map(str, files)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def send(self, files: Sequence[Path], title: str = "MODALITY") -> bool:
        """Whether all were accepted."""
        return self.storescu(*files, title=title).wait(SECONDS) == 0

    def send_until_accepted(self, files: Sequence[Path]) -> None:
        until(lambda: self.send(files))

    def rows(self, **wanted: object) -> list[sa.Row[Any]]:
        query = sa.select(arrivals).where(*(arrivals.c[name] == value for name, value in wanted.items()))
        with self.store.read() as connection:
            return list(connection.execute(query.order_by(arrivals.c.series_uid)))

    def jobs(self, kind: str) -> list[Job]:
        return sorted(Jobs(self.store).list(kinds=[kind]), key=lambda job: job.id)

    def quiet(self) -> bool:
        """Whether all that came is taken in, and no job waits or runs."""
        open_rows = [row for row in self.rows() if row.state in ("receiving", "complete")]
        return bool(self.rows()) and not open_rows and not Jobs(self.store).list(("waiting", "running"))


@contextmanager
def served(folder: Path, settings: str = "", *, workers: int = 1, port: int = 0) -> Iterator[Serving]:
    """A server with the ``dicom.toml`` of ``settings``; it answers C-ECHO within the block."""
    if not folder.exists():
        Archive.open(folder, create=True).close()
    (folder / "dicom.toml").write_text(settings, encoding="utf-8")
    command = [sys.executable, "-m", serving.__name__, str(folder), "0", str(workers), "0", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        printed = json.loads(process.stdout.readline())
        title, _, place = printed["dicom"].partition("@")
        with closing(Store.open(folder)) as store:
            found = Serving(folder, process, printed["url"], title, int(place.rpartition(":")[2]), store)
            until(found.answers)
            yield found
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def program(name: str) -> str:
    """A program of dcmtk."""
    return shutil.which(name) or missing(f"{name} (dcmtk)")
