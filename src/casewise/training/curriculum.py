"""In which order cases are shown: by their similarity to a first site, or by how uncertain a model is of them; either way round."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from casewise.case import Case
from casewise.device import resolve_device
from casewise.errors import UsageError
from casewise.models.model import Model
from casewise.models.tasks.task import whole_answer
from casewise.training.settings import Settings

Vectors = npt.NDArray[np.float32]
ORDERS = ("similar", "dissimilar", "random")  # which of a further site's cases come first
CHOICES = ("uncertain", "certain", "random")  # which of the deployment site's annotated cases come first
PACES = ("growing", "rounds")

_SHIFT = 0.03  # of an axis: a case that a small shift changes is one that the network is unsure of
_GAMMAS = (0.75, 1.33)
_FIRST = 1 / 3  # of the cases, from which a growing pace starts
_FULL = 0.5  # of the steps, after which it shows all of them


@dataclass(frozen=True)
class ScheduledTraining:
    """How a model is trained on at one site. schedule : numbers of cases, place by place of the batches, again from the start where
    they end. checkpoint : file from which a stopped training goes on.
    """

    schedule: Sequence[int]
    settings: Settings
    checkpoint: Path | None = None
    progress: Callable[[int, int, float], None] | None = None


def likeness(vectors: Vectors, first: Vectors, mean: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """(n,) cosines of ``vectors`` (n, dimension) to the middle of the first site's (m, dimension), −1 to 1.

    mean : (dimension,) of all sites' vectors, which is taken off both: vectors of one network all point much the same way.
    """
    centre = first.mean(axis=0, dtype=np.float64) - mean
    centred = vectors.astype(np.float64) - mean
    lengths = np.linalg.norm(centred, axis=1) * np.linalg.norm(centre)
    return np.asarray((centred @ centre) / np.maximum(lengths, 1e-12))


def ranked(scores: Sequence[float] | npt.NDArray[np.floating], how: str, seed: int = 0) -> list[int]:
    """Numbers of the cases in the order ``how``: the highest score first (``similar``, ``uncertain``), last, or drawn by the seed.

    Raises UsageError for an order that is none.
    """
    values = np.asarray(scores, np.float64)
    if how in ("similar", "uncertain"):
        return [int(n) for n in np.argsort(-values, kind="stable")]
    if how in ("dissimilar", "certain"):
        return [int(n) for n in np.argsort(values, kind="stable")]
    if how == "random":
        return [int(n) for n in np.random.default_rng([seed, 23]).permutation(len(values))]
    raise UsageError(f"Cases are ordered by one of {', '.join((*ORDERS, *CHOICES[:2]))}; got {how!r}.")


def paced(order: Sequence[int], pace: str, steps: int, batch: int, seed: int = 0) -> list[int]:
    """Numbers of cases as :func:`casewise.training.fit` takes them, from their order.

    pace : ``rounds`` shows all of them in this order, again and again. ``growing`` draws from the first third, then from more and
    more, and from half of the steps on from all.
    """
    if pace == "rounds" or not order:
        return list(order)
    if pace != "growing":
        raise UsageError(f"The pace of an order is one of {', '.join(PACES)}; got {pace!r}.")
    rng = np.random.default_rng([seed, 29])
    displayed: list[int] = []
    for step in range(steps):
        share = min(1.0, _FIRST + (1 - _FIRST) * step / max(1.0, _FULL * steps))
        pool = max(1, math.ceil(share * len(order)))
        displayed += [order[int(n)] for n in rng.integers(pool, size=batch)]
    return displayed


def rehearsed(displayed: Sequence[int], new: int, known: int, places: int, seed: int = 0) -> list[int]:
    """``shown`` with an earlier site's case at every second of ``places``, drawn by the seed.

    new, known : how many cases there are of the new site, numbered from 0, and of the earlier ones, whose numbers follow.
    """
    earlier = np.random.default_rng([seed, 31]).integers(known, size=places)
    return [new + int(earlier[n]) if n % 2 else displayed[(n // 2) % len(displayed)] for n in range(places)]


def uncertainties(
    model: Model, cases: Sequence[Case], device: str = "auto", progress: Callable[[int, int], None] | None = None
) -> list[float]:
    """For each case the entropy of what the model answers, 0 to 1, averaged over the voxels (and slices).

    The answer is the mean over the picture as it is, a little shifted, and a little darker and brighter: where these disagree, the
    mean is in two minds.
    """
    device = resolve_device(device)
    network = model.ready(device)
    found = []
    for number, case in enumerate(cases, start=1):
        parts = model.spec.preparation.parts(case.image)
        with torch.inference_mode():
            found.append(float(np.mean([_entropy(network, part.tensor(), model, device) for part in parts])))
        if progress is not None:
            progress(number, len(cases))
    return found


def _entropy(network: torch.nn.Module, x: Tensor, model: Model, device: str) -> float:
    segmenter = model.kind.dense
    answers = []
    for view, back in views(x, model.spec.preparation.unit_range):
        chances = whole_answer(network, view[None].to(device), model.spec).softmax(dim=1).cpu()
        answers.append(torch.roll(chances, back, tuple(range(2, chances.ndim))) if segmenter and any(back) else chances)
    mean = torch.stack(answers).mean(dim=0)
    entropy = -(mean * mean.clamp_min(1e-6).log()).sum(dim=1) / math.log(mean.shape[1])
    return float(entropy.mean())


def views(x: Tensor, unit_range: bool) -> Iterator[tuple[Tensor, tuple[int, ...]]]:
    """(C, *network) as it is and changed a little, each with the shift that brings its answer back. unit_range : whether its values
    lie in 0…1; it is then made darker and brighter too.
    """
    axes = tuple(range(1, x.ndim))
    still = (0,) * len(axes)
    yield x, still
    for sign in (1, -1):
        shift = tuple(sign * max(1, round(_SHIFT * n)) for n in x.shape[1:])
        yield torch.roll(x, shift, axes), tuple(-n for n in shift)
    for gamma in _GAMMAS if unit_range else ():
        yield x.clamp(0, 1) ** gamma, still
