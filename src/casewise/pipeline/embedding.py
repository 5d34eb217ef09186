"""Vectors for an archive's images, made by several processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from casewise.archive import Archive
from casewise.chest.upright import UprightEncoder
from casewise.device import resolve_device
from casewise.models import load
from casewise.models.shipped import encoder_for
from casewise.models.shipped.waiting import WaitingEncoder
from casewise.progress import Progress, silent
from casewise.workers import Lost, Make, Workers

if TYPE_CHECKING:
    from casewise.encoder import Encoder
    from casewise.workers.contract import Do

_STEP = "Embedding"
_BATCH = 64  # images that are read and encoded together
LIMIT = 3600.0  # seconds that they may take

Ids = tuple[int, ...]  # of the catalogue


def encoder_of(model: str | None, device: str, archive: Archive | None = None) -> Encoder:
    """What gives images their vectors. model : the one whose network does, which ``archive`` may know by its name; None: the one
    that comes with casewise.
    """
    if device == "cuda":
        resolve_device(device)  # an impossible device is refused before the first image
    plain = encoder_for(load(model, archive=archive), device) if model else WaitingEncoder(device)
    return UprightEncoder(plain, device)


@dataclass(frozen=True)
class Embedding:
    """Opens what a worker needs that gives images of an archive their vectors."""

    archive: Path
    model: str | None
    device: str

    @contextmanager
    def __call__(self) -> Iterator[Do[Ids, int]]:
        with Archive.open(self.archive) as archive:
            yield partial(_embedded, archive, encoder_of(self.model, self.device, archive))


def embed_by(workers: Workers, archive: Archive, model: str | None, device: str, progress: Progress = silent) -> int:
    """Give a vector to each image of ``archive`` that has none; returns how many were made. Can be stopped and goes on.

    An image that ends each worker that has it is left without, like one that cannot be read.
    """
    return embed_with(
        workers, archive, encoder_of(model, device, archive), Embedding(Path(archive.folder), model, device), progress
    )


def embed_with(workers: Workers, archive: Archive, encoder: Encoder, make: Make[Ids, int], progress: Progress = silent) -> int:
    """As :func:`embed_by`, by workers that ``make`` opens with ``encoder``."""
    ids = archive.ids_without_vector(encoder)
    batches: list[Ids] = [tuple(ids[first : first + _BATCH]) for first in range(0, len(ids), _BATCH)]
    made = done = 0
    while batches:
        lost: list[Ids] = []
        with closing(workers.run([[batch] for batch in batches], make)) as coming:
            for batch, found in coming:
                if isinstance(found, Lost):
                    lost += [(number,) for number in batch] if len(batch) > 1 else []
                else:
                    made += found
                done += 0 if isinstance(found, Lost) and len(batch) > 1 else len(batch)
                progress(_STEP, done, len(ids))
        batches = lost  # one by one: the others of their batch are as good as any
    archive.index(encoder, made > 0)
    return made


def _embedded(archive: Archive, encoder: Encoder, batches: Sequence[Ids]) -> Iterator[int]:
    for ids in batches:
        yield archive.embed_these(encoder, ids)
