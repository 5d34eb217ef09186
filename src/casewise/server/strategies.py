"""Which image of a set comes next: the first, one drawn at random, the most uncertain, or the one most unlike what is labelled.

``uncertainty`` : 1 − the mean Dice of the accepted masks, each registered to the image, with their fused label: how far the
accepted masks disagree about it (query by committee, the committee being the labelled cases). It is measured by jobs, on some
images of the set after each acceptance, and kept; here it is only compared.

``unlike`` : farthest first (k-center; Sener and Savarese 2018, arXiv 1708.00489). Of the images that wait, the one whose nearest
labelled image is farthest away, by the cosine of the encoder's vectors with the archive's mean taken off. Where nothing is labelled
yet, the most typical one: the one nearest to all of those that wait. Where more than :data:`COMPARED` wait, so many of them are
compared, others each time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

NAMES = ("first", "random", "uncertainty", "unlike")
COMPARED = 5000


class Vectors(Protocol):
    """The archive's vectors. ``missing`` : how many of these keys have none."""

    def missing(self, keys: Collection[str]) -> int: ...

    def of(self, keys: Sequence[str]) -> tuple[list[str], Floats]:
        """(the keys that have a vector, their vectors (n, dimension) with the archive's mean taken off)."""
        ...


@dataclass(frozen=True)
class Waiting:
    """What a strategy chooses from.

    seed : the set's number. keys : images that wait, in the set's order. labelled : images that have the structure's mask, or that
    somebody is outlining. uncertainty : of those of ``keys`` of which it was measured, 0…1.
    """

    seed: int
    keys: Sequence[str]
    labelled: Sequence[str]
    uncertainty: Mapping[str, float]


@dataclass(frozen=True)
class Choice:
    """key : of the image. reason : one sentence. without : what was missing for the strategy: ``vectors``, ``uncertainty`` or
    nothing.
    """

    key: str
    reason: str
    without: str | None = None


def choose(strategy: str, waiting: Waiting, vectors: Vectors) -> Choice | None:
    """The next image by a strategy of :data:`NAMES`; None where none waits. The same state gives the same image."""
    if not waiting.keys:
        return None
    if strategy == "first":
        return Choice(waiting.keys[0], "The first of the set that is not done.")
    if strategy == "unlike":
        return _unlike(waiting, vectors)
    if strategy == "uncertainty" and waiting.uncertainty:
        key = max(waiting.uncertainty, key=lambda one: (waiting.uncertainty[one], one))
        count = len(waiting.uncertainty)
        reason = f"The accepted masks disagree most about it: {waiting.uncertainty[key]:.2f}, of the {count} images looked at."
        return Choice(key, reason)
    if strategy == "uncertainty":
        return _at_random(waiting, "No image's uncertainty is known yet; one was drawn at random.", "uncertainty")
    return _at_random(waiting, "Drawn at random.")


def shuffled(keys: Collection[str], seed: int) -> list[str]:
    """In a random order that is the same each time."""
    return sorted(keys, key=lambda key: hashlib.blake2b(f"{seed}\n{key}".encode(), digest_size=8).digest())


def _at_random(waiting: Waiting, reason: str, without: str | None = None) -> Choice:
    return Choice(shuffled(waiting.keys, waiting.seed)[0], reason, without)


def _unlike(waiting: Waiting, vectors: Vectors) -> Choice:
    missing = vectors.missing(waiting.keys)
    without = "vectors" if missing else None
    keys, rows = vectors.of(_compared(waiting))
    known, labelled = vectors.of(waiting.labelled)
    if not keys or (waiting.labelled and not known):
        return _at_random(waiting, "The images have no vectors to compare them by yet; one was drawn at random.", "vectors")
    some = "1 image has" if missing == 1 else f"{missing} images have"
    note = f" {some} no vector yet and cannot be compared." if missing else ""
    if not known:
        place = int(np.argmax(_unit(rows) @ _unit(rows).mean(axis=0)))
        return Choice(keys[place], f"Nothing is labelled yet: this is the most typical image of the set.{note}", without)
    nearest = (_unit(rows) @ _unit(labelled).T).max(axis=1)  # of each the greatest cosine with a labelled one
    place = int(np.argmin(nearest))
    count = "the labelled image" if len(known) == 1 else f"all {len(known)} labelled images"
    return Choice(keys[place], f"Most unlike {count}: the nearest is alike by {nearest[place]:.2f} of 1.{note}", without)


def _compared(waiting: Waiting) -> Sequence[str]:
    """The images that are compared: all, or some drawn at random, the same for the same state."""
    if len(waiting.keys) <= COMPARED:
        return waiting.keys
    rng = np.random.default_rng([waiting.seed, len(waiting.labelled), len(waiting.keys)])
    return [waiting.keys[place] for place in np.sort(rng.choice(len(waiting.keys), COMPARED, replace=False))]


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)
