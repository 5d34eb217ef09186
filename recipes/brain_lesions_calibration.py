"""The probability of a lesion: ``python -m recipes.brain_lesions_calibration`` writes the rows and prints the model's numbers.

Run ``python -m benchmarks.lesions`` first, whose networks were trained without a third of the patients.
"""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from casewise import formats
from casewise.examination.normalisation import normalised
from casewise.header import Header
from casewise.image import Image
from casewise.lesions import predict
from casewise.lesions.calibration import Candidate, calibrated
from casewise.models import Model
from casewise.models.tasks.lesions import Brightness
from experiments.cases import brain_files
from experiments.lesions.cases import WORK, brains, folds
from experiments.lesions.runs import SHIPPED, limited
from recipes._common import Recipe

RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "results" / "lesion_probability.json"
FREE, WITH, WHOLE = "free", "lesion", "whole"
_BRIGHT = Brightness("FLAIR", 0.2, 2.0, 1.0)
_PEAK, _MEAN, _LEAST_ML = 0.98, 0.5, 0.2  # the shipped rule
_IN_LESION = 0.1  # of a piece's voxels, from which on it is one
_SHOWN = 0.03  # of a slice that is brain
_EMPTY_SLAB = ("open-ms/patient07", [0, 24])  # hardly any brain: the application refuses it


def calibrations(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """``bright`` where FLAIR is there, ``plain`` where it is not."""
    made = {}
    for name, bright in (("bright", True), ("plain", False)):
        chosen = [row for row in rows if ("FLAIR" in row["sequences"]) == bright and (row["patient"], row["slices"]) != _EMPTY_SLAB]
        made[name] = calibrated([(_candidates(row), row["piece"] != FREE) for row in chosen]).settings()
    return made


def _candidates(row: Mapping[str, Any]) -> list[Candidate]:
    return [Candidate(one["mean"], one["ml"], one["in_lesion"] >= _IN_LESION) for one in row["candidates"]]


def slab_rows() -> list[dict[str, Any]]:
    """A row for each examination and slab, by each set of its sequences, with the pieces that the shipped rule keeps."""
    patients = limited(brains(), SHIPPED)
    rows = []
    for fold, numbers in enumerate(folds(patients)):
        model = Model.load(WORK / "models" / f"as_shipped-joint-{fold}-0")
        for number in numbers:
            images, truth = _read(patients[number].subject)
            for piece, first, last in _slabs(images["FLAIR"], truth):
                part = {name: _cut(image, first, last) for name, image in images.items()}
                for names in [("FLAIR",), ("T1",), ("FLAIR", "T1")] if "T1" in images else [("FLAIR",)]:
                    about = {"patient": patients[number].subject, "piece": piece, "slices": [first, last]}
                    rows.append(about | _judged(model, {name: part[name] for name in names}, truth[..., first:last]))
    return rows


def _read(subject: str) -> tuple[dict[str, Image], np.ndarray]:
    files, mask = next((files, mask) for site, files, mask in brain_files() if subject == f"{site}/{mask.parent.name}")
    images = {name: formats.read(files[name]) for name in ("FLAIR", "T1") if name in files}
    return images, formats.read_mask(mask, images["FLAIR"]) > 0


def _slabs(image: Image, truth: np.ndarray) -> Iterator[tuple[str, int, int]]:
    """(piece, first slice, behind the last)."""
    slices, thick = image.spatial_shape[2], image.spacing[2] > 4
    most, least = (5, 3) if thick else (24, 10)
    displayed = (image.array[0] > image.array[0].min()).mean(axis=(0, 1)) > _SHOWN
    held = truth.any(axis=(0, 1))
    ml = abs(float(np.linalg.det(image.affine[:3, :3]))) / 1000
    yield WHOLE, 0, slices
    begin = 0
    for start in range(slices):
        if start < begin:
            continue
        stop = start
        while stop < min(slices, start + most) and not held[stop]:
            stop += 1
        if stop - start >= least and displayed[start:stop].all():
            begin = stop
            yield FREE, start, stop
    for start in range(0, slices - most + 1, most):
        if truth[..., start : start + most].sum() * ml > _LEAST_ML and displayed[start : start + most].all():
            yield WITH, start, start + most


def _cut(image: Image, first: int, last: int) -> Image:
    return Image(np.ascontiguousarray(image.array[..., first:last]), image.affine)


def _judged(model: Model, images: Mapping[str, Image], truth: np.ndarray) -> dict[str, Any]:
    one = next(iter(images.values()))
    nothing = np.zeros(one.spatial_shape, np.float32)
    names = ("FLAIR", "T1")
    array = np.stack([normalised(images[n].array[0].astype(np.float32), n) if n in images else nothing for n in names])
    absent = tuple(name for name in names if name not in images)
    image = Image(array, one.affine, Header(sequences=names, absent=absent))
    seen = predict(model, image, each=False).map
    drawn = _BRIGHT.applied(seen, array[0], image.spacing) if "FLAIR" in images else seen
    ml = abs(float(np.linalg.det(image.affine[:3, :3]))) / 1000
    numbered, _ = ndimage.label(drawn >= 0.5, np.ones((3, 3, 3)))
    found = []
    for number, box in enumerate(ndimage.find_objects(numbered), start=1):
        own = numbered[box] == number
        mean, size = float(seen[box][own].mean()), float(own.sum() * ml)
        if drawn[box][own].max() >= _PEAK and mean >= _MEAN and size >= _LEAST_ML:
            share = float(truth[box][own].mean())
            found.append({"mean": round(mean, 4), "ml": round(size, 3), "in_lesion": round(share, 3)})
    return {"sequences": list(images), "lesion_ml": round(float(truth.sum() * ml), 3), "candidates": found}


def main(options: Namespace) -> None:
    rows = slab_rows()
    RESULTS.write_text(json.dumps(rows, separators=(",", ":")).replace('},{"patient"', '},\n{"patient"') + "\n", encoding="utf-8")
    sys.stderr.write(f"{calibrations(rows)}\n")


RECIPE = Recipe(__doc__, main)

if __name__ == "__main__":
    RECIPE.run()
