"""A server and its workers that are killed at random while they do jobs, and what became of the jobs.

``python -m benchmarks._serve_kills ARCHIVE PORT WORKERS`` is the server that is killed: casewise's own, with workers of
``_serve_worker``.
"""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import psutil
import sqlalchemy as sa

from benchmarks._serve_worker import BEGAN, is_poison
from casewise.archive import Archive
from casewise.image import Image
from casewise.server import pages
from casewise.server.access import LOCAL
from casewise.server.jobs import Jobs
from casewise.server.run import Address, serve
from casewise.server.store import Store
from casewise.server.tokens import issue_token

ENDED = sa.Table("test_ended", sa.MetaData(), sa.Column("job", sa.Integer), sa.Column("state", sa.String))
# Notes each time that a job ends, whoever writes it: a job that is finished twice is there twice.
TRIGGERS = {
    "sqlite": (
        "CREATE TRIGGER test_ends AFTER UPDATE OF state ON server_jobs WHEN NEW.state NOT IN ('waiting', 'running') "
        "BEGIN INSERT INTO test_ended VALUES (NEW.id, NEW.state); END",
    ),
    "postgresql": (
        "CREATE FUNCTION test_note() RETURNS trigger AS "
        "$$ BEGIN INSERT INTO test_ended VALUES (NEW.id, NEW.state); RETURN NULL; END $$ LANGUAGE plpgsql",
        "CREATE TRIGGER test_ends AFTER UPDATE OF state ON server_jobs FOR EACH ROW "
        "WHEN (NEW.state NOT IN ('waiting', 'running')) EXECUTE FUNCTION test_note()",
    ),
}


@dataclass
class Outcome:
    """What became of the jobs. ``states`` : how many ended how; ``twice`` : numbers of jobs that ended more than once; ``lost`` :
    orders that were acknowledged and are no job that ended. ``unlucky`` : jobs that are no poison and whose worker was killed three
    times, which were run again. ``reasons`` : of the dead. ``kills`` : server and worker → how often.
    """

    orders: int
    states: dict[str, int]
    twice: list[int]
    lost: list[int]
    unlucky: int
    tries: int
    reasons: list[str]
    wrong: list[str]
    kills: dict[str, int]
    seconds: float


@dataclass
class _Scene:
    folder: Path
    store: Store
    port: int
    workers: int
    random: random.Random
    key: str
    token: str
    server: subprocess.Popen[bytes] | None = None
    kills: Counter[str] = field(default_factory=Counter)
    acknowledged: dict[str, int] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def tries(self) -> int:
        return len((self.folder / BEGAN).read_text().splitlines())

    def start(self) -> None:
        command = [sys.executable, "-m", "benchmarks._serve_kills", str(self.folder), str(self.port), str(self.workers)]
        self.server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 120
        while not _answers(f"{self.url}/healthz"):
            if time.monotonic() > end or self.server.poll() is not None:
                raise RuntimeError("the server does not start")
            time.sleep(0.05)

    def kill_one(self) -> None:
        assert self.server is not None
        if self.random.random() < 0.25:
            self.server.kill()
            self.server.wait()
            self.kills["server"] += 1
            self.start()
            return
        alive = [one for one in psutil.Process(self.server.pid).children() if one.status() != psutil.STATUS_ZOMBIE]
        if alive:
            self.random.choice(alive).kill()
            self.kills["worker"] += 1

    def order(self, name: str) -> None:
        """Ask for one analysis until the server says that it has it."""
        while name not in self.acknowledged:
            try:
                answer = httpx.post(
                    f"{self.url}/api/v1/jobs",
                    json={"cases": [self.key], "application": name},
                    headers={"Authorization": f"Bearer {self.token}"},
                    timeout=30,
                )
            except httpx.TransportError:
                time.sleep(0.1)
                continue
            if answer.status_code != 202:
                raise RuntimeError(f"{answer.status_code}: {answer.text}")
            self.acknowledged[name] = int(answer.json()["id"])


def run(folder: Path, *, jobs: int, poison: int, seed: int, workers: int = 2, tries_a_kill: int = 6) -> Outcome:
    """Do ``jobs`` jobs, ``poison`` of them poison, in the new archive in ``folder``, until all have ended; a server or a worker is
    killed after each 1 to ``tries_a_kill`` tries, at any moment of one.
    """
    began, store = time.monotonic(), Store.open(folder)
    with store.write() as connection:
        ENDED.create(connection)
        for statement in TRIGGERS[connection.dialect.name]:
            connection.exec_driver_sql(statement)
    with Archive.open(folder) as archive:
        key = archive.add(Image(np.zeros((1, 8, 8), np.uint8)))
    (folder / BEGAN).touch()
    chance = random.Random(seed)
    token = issue_token(store, LOCAL, "admin", 1.0)[0]
    scene = _Scene(folder, store, _free_port(), workers, chance, key, token)
    names = [f"poison-{n}" for n in range(poison)] + [f"job-{n}" for n in range(jobs - poison)]
    chance.shuffle(names)
    scene.start()
    client = threading.Thread(target=lambda: [scene.order(name) for name in names], daemon=True)
    client.start()
    queue, unlucky = Jobs(store), 0
    try:
        while True:
            if not client.is_alive() and not _open(queue):
                again = _again(queue)
                unlucky += again
                if not again:
                    break
            tries = scene.tries + chance.randint(1, tries_a_kill)
            while scene.tries < tries and (client.is_alive() or _open(queue)):
                time.sleep(chance.uniform(0, 0.2))
            scene.kill_one()
        return _outcome(scene, jobs, unlucky, time.monotonic() - began)
    finally:
        assert scene.server is not None
        scene.server.terminate()
        scene.server.wait(60)
        store.close()


def _again(queue: Jobs) -> int:
    """Run those again that are no poison and whose worker was killed three times by chance."""
    found = [job for job in queue.list(["dead"], limit=100_000) if not is_poison(job)]
    for job in found:
        queue.again(job.id)
    return len(found)


def _outcome(scene: _Scene, orders: int, unlucky: int, seconds: float) -> Outcome:
    all_jobs = {job.id: job for job in Jobs(scene.store).list(limit=100_000)}
    with scene.store.read() as connection:
        done = Counter(int(job) for job, state in connection.execute(sa.select(ENDED)) if state == "done")
        dead = Counter(int(job) for job, state in connection.execute(sa.select(ENDED)) if state == "dead")
    ended = {number for number, job in all_jobs.items() if job.state in ("done", "dead")}
    poisoned = {number for number, job in all_jobs.items() if is_poison(job)}
    return Outcome(
        orders=orders,
        states=dict(Counter(job.state for job in all_jobs.values())),
        twice=sorted(number for number in all_jobs if done[number] > 1 or (number in poisoned and dead[number] > 1)),
        lost=sorted(number for number in scene.acknowledged.values() if number not in ended),
        unlucky=unlucky,
        tries=scene.tries,
        reasons=sorted({job.error or "" for job in all_jobs.values() if job.state == "dead"}),
        wrong=[f"job {number} is {job.state}" for number, job in all_jobs.items() if (job.state == "dead") != (number in poisoned)],
        kills=dict(scene.kills),
        seconds=round(seconds, 1),
    )


def _open(queue: Jobs) -> bool:
    counts = queue.counts()
    return bool(counts.get("waiting") or counts.get("running"))


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _main(folder: Path, port: str, workers: str) -> None:
    with tempfile.TemporaryDirectory() as static:
        (Path(static) / "page.js").touch()
        pages.STATIC = Path(static)
        command = [sys.executable, "-m", "benchmarks._serve_worker", str(folder)]
        serve(folder, Address(port=int(port)), workers=int(workers), worker=command)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), *sys.argv[2:])
