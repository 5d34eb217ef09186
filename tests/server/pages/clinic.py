"""An archive as a small clinic has it: images of each state, results, masks of two people, a set, jobs of each state."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from casewise.archive import Archive
from casewise.formats import write
from casewise.image import Image
from casewise.server.jobs import Job, Jobs
from casewise.server.store import Store, set_images, sets, verdicts
from casewise.server.vectors import encoder

Bits = npt.NDArray[np.bool_]
MARKUP = "<img src=x onerror=document.title='hacked'>"
AFFINE = np.diag([-1.0, 1.0, 2.0, 1.0])
SIDE = 200


@dataclass(frozen=True)
class Clinic:
    """Keys of the images. film : analysed, with findings. clear : analysed, nothing found. marked : its name is markup.

    volume : with masks of two people. fresh : not analysed. set : the number of the set. dead : of the job that failed.
    """

    film: str
    clear: str
    marked: str
    volume: str
    fresh: tuple[str, ...]
    set: int
    dead: int


def furnish(folder: Path, files: Path) -> Clinic:
    """Fill the archive in ``folder`` from image files that are made in ``files``."""
    files.mkdir(parents=True)
    with Archive.open(folder, create=True) as archive:
        film = archive.add(_film(files / "film.png", 0), {"disc": disc()}, category="chest-xray", site="north")
        clear = archive.add(_film(files / "clear.png", 1), {"disc": disc()}, category="chest-xray", site="south")
        marked = archive.add(_film(files / f"{MARKUP}.png", 2), category="chest-xray", site="<b>east</b>")
        volume = archive.add(_volume(files / "volume.nii.gz"), {"ball": ball(0)}, category="brain-mr", site="north")
        archive.add_masks(volume, archive.case(volume).image, {"ball@anna": ball(1)}, origin={"how": "interactive", "user": "anna"})
        fresh = tuple(archive.add(_film(files / f"fresh-{n}.png", 10 + n), category="chest-xray", site="north") for n in range(3))
        archive.embed(encoder("cpu"))  # so that the case page has similar ones at once
        mask = next(str(label["path"]) for label in archive.labels(film) if label["name"] == "disc")
        archive.record_result(_result(mask), film)
        archive.record_result(_nothing(), clear)
        archive.record_result({**_nothing(), "headline": f"{MARKUP} as a headline"}, marked)
        store = Store.open(folder)
        try:
            number = _set(store, [film, clear, *fresh])
            dead = _jobs(store)
            _opinion(store, film)
        finally:
            store.close()
    return Clinic(film, clear, marked, volume, fresh, number, dead)


def disc(row: int = 80, column: int = 120, radius: int = 30) -> Bits:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    found: Bits = np.hypot(rows - row, columns - column) < radius
    return found


def ball(shift: int) -> Bits:
    x, y, z = np.mgrid[:40, :48, :24]
    found: Bits = (x - 20 - shift) ** 2 + (y - 24) ** 2 + (2 * (z - 12)) ** 2 < 100
    return found


def _film(path: Path, seed: int) -> Path:
    noise = np.random.default_rng(seed).normal(90, 8, (SIDE, SIDE))
    return write(path, Image(np.clip(noise + 90 * disc(), 0, 255).astype(np.uint8)[None]))


def _volume(path: Path) -> Path:
    noise = np.random.default_rng(3).normal(200, 20, (40, 48, 24))
    return write(path, Image((noise + 400 * ball(0)).astype(np.int16)[None], AFFINE))


def _result(mask: str) -> dict[str, object]:
    findings = [
        _finding("nodule", 0.81, region="right_lung", box=[[60, 100], [100, 140]], place=[80, 120], measures={"diameter_mm": 21.0}),
        _finding(MARKUP, 0.35, region="left_lung"),
        _finding("left_lung", None, kind="measure", mask=mask, box=[[50, 110], [90, 150]], measures={"area_px": 2821.0}),
    ]
    return {
        "headline": "Nodule, right lung, 0.81; 1 more finding",
        "created": 1_790_000_000.0,
        "findings": findings,
        "looked_for": [{"label": "tuberculosis", "application": "tb", "found": False, "score": 0.06}],
        "summary": {
            "not_looked_for": "Fracture: no application here reads this.",
            "model": "Model refined on 8 similar cases",
            "failed": [],
        },
        "route": {"category": "chest-xray", "probability": 0.998},
        "model": {
            "name": "nodule-detector",
            "parent": "detector",
            "method": "similar",
            "refined_on": [f"film-{n}.png" for n in range(8)],
            "before": {"dice": 0.71},
            "after": {"dice": 0.76},
        },
        "applications": [{"application": "nodules"}, {"application": "tb"}],
        "notes": ["The film has no spacing."],
        "seconds": {"total": 6.1},
    }


def _nothing() -> dict[str, object]:
    looked = [{"label": "tuberculosis", "application": "tb", "found": False, "score": 0.03}]
    return {"headline": "Nothing found of what was looked for", "findings": [], "looked_for": looked}


def _finding(label: str, probability: float | None, *, kind: str = "finding", **more: object) -> dict[str, object]:
    return {"application": "nodules", "label": label, "kind": kind, "probability": probability, **more}


def _set(store: Store, keys: list[str]) -> int:
    """Two accepted (the second the more doubtful), one skipped, two that wait."""
    now = time.time()
    states = ("accepted", "accepted", "skipped", "waiting", "waiting")
    with store.write() as connection:
        values = {"name": "Discs", "structure": "disc", "strategy": "first", "created_by": "local", "created": now}
        number = int(connection.execute(sa.insert(sets).values(**values)).inserted_primary_key[0])
        for position, (key, state) in enumerate(zip(keys, states, strict=True)):
            done = {
                "strokes": 5 - position,
                "seconds": 30.0 - 9 * position,
                "doubt": 0.2 + 0.5 * position,
                "user": "local",
                "ended": now,
            }
            row = {"set_id": number, "image_key": key, "position": position, "state": state, "reason": ""}
            connection.execute(sa.insert(set_images).values(**row, **(done if state == "accepted" else {})))
    return number


def _jobs(store: Store) -> int:
    """One that was given up, one that is done."""
    jobs = Jobs(store)
    for end in ("dead", "done"):
        number = jobs.add("export", {"title": f"Export {MARKUP}" if end == "dead" else "Export discs"}, created_by="anna")
        job = jobs.claim("worker-1")
        assert job is not None
        if end == "done":
            jobs.finish(job, {})
        else:
            dead = number
            jobs.fail(job, "The disk is full; make room and run it again.")
    return dead


def _opinion(store: Store, key: str) -> None:
    with store.write() as connection:
        one = {"image_key": key, "result": "1", "finding": 0, "application": "nodules", "label": "nodule"}
        connection.execute(sa.insert(verdicts).values(**one, agree=False, note="a rib", user="anna", created=time.time()))


def claimed(jobs: Jobs, kind: str) -> Job:
    """The next job of this kind, as a worker claims it; those of other kinds, which pages order by themselves, are done."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        job = jobs.claim("worker-1")
        if job is not None and job.kind == kind:
            return job
        if job is not None:
            jobs.finish(job, {})
        time.sleep(0.05)
    raise AssertionError(f"no job of the kind {kind} was queued")
