"""The shipped encoder: ``python -m recipes.encoder`` trains it and writes ``src/casewise/models/shipped/encoder``.

An autoencoder at 64×64: the augmented image is rebuilt through 512 numbers, which are then what images are compared by. Data:
only sets that may be used so (see the card); a tenth of the subjects is set aside, and retrieval is measured on them against
plain thumbnails.
"""

from __future__ import annotations

import hashlib
import re
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from casewise import formats
from casewise.case import Case
from casewise.hashing import file_key
from casewise.models import Model, Preparation, Spec
from casewise.training import Settings, fit
from casewise.training.samples import samples_of
from experiments import datasets
from recipes._common import Recipe, progress, report, with_card
from recipes.licences import DATA

SETS = (  # those that may be used so
    "mednist/*/*.jpeg",
    "montgomery/images/*.png",
    "shenzhen/images/*.png",
    "hippocampus/images/*.nii.gz",
    "busi/*/*.png",
    "open-ms/*/*_regtoMNI.nii.gz",
    "pyradiomics-mr/*_image.nrrd",
)
SPEC = Spec("encoding", {"kind": "autoencoder", "channels": [8, 16, 32, 32]}, Preparation(size=(64, 64)))
_MOST = 400  # files of one folder, so that no set drowns the others


def cases() -> list[Case]:
    found = []
    for pattern in SETS:
        folders: dict[Path, list[Path]] = {}
        for path in datasets.files(pattern):
            if "GOLD_STANDARD" not in path.name:
                folders.setdefault(path.parent, []).append(path)
        for paths in folders.values():
            found += [_case(path) for path in paths[:_MOST]]
    return found


def _case(path: Path) -> Case:
    kind = datasets.name_of(path).split("/")
    category = f"{kind[0]}/{kind[1]}" if kind[0] in ("mednist", "busi") else kind[0]
    return Case(
        key=file_key(path),
        load_image=lambda: formats.read(path),
        category=category,
        subject=re.sub(r"_[01]$", "", path.stem),
        name=str(path),
    )


def precision(vectors: np.ndarray, labels: Sequence[str], queries: Sequence[int], k: int = 10) -> float:
    """Share of the k most similar that are of the query's category."""
    centred = vectors - vectors.mean(axis=0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    hits = []
    for query in queries:
        order = np.argsort(-(unit @ unit[query]))
        hits.append(np.mean([labels[n] == labels[query] for n in [n for n in order if n != query][:k]]))
    return float(np.mean(hits))


def main(given: Namespace) -> None:
    everything = cases()
    aside = [int(hashlib.blake2b(str(case.subject).encode()).hexdigest(), 16) % 10 == 0 for case in everything]
    training = [case for case, held in zip(everything, aside, strict=True) if not held]
    held_out = [case for case, held in zip(everything, aside, strict=True) if held]
    report(f"{len(training)} images to train on, {len(held_out)} held out: {Counter(c.category for c in held_out)}")
    start = Model.initial("casewise-encoder", SPEC)
    settings = Settings(steps=given.steps, batch=16, rate=2e-3, device=given.device)
    model = fit(start, training, settings=settings, method="initial", progress=progress)
    labels = [str(case.category) for case in held_out]
    vectors = model.encoder().encode([case.image for case in held_out])
    thumbs = np.stack([samples_of(case, SPEC)[0].x.float().numpy()[0, ::4, ::4].ravel() for case in held_out])
    numbers = list(range(len(held_out)))
    before = start.encoder().encode([case.image for case in held_out])
    measures = {
        "precision_at_10": precision(vectors, labels, numbers),
        "precision_at_10_of_untrained_network": precision(before, labels, numbers),
        "precision_at_10_of_thumbnails": precision(thumbs, labels, numbers),
        "held_out_images": float(len(held_out)),
    }
    report(str(measures))
    model = Model(model.name, model.spec, model.weights, replace(model.lineage.measured(**measures), training_data=DATA["encoder"]))
    with_card("encoder", model.save, given.output)


def options(parser: ArgumentParser) -> None:
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--device", default="auto")


RECIPE = Recipe(__doc__, main, options)

if __name__ == "__main__":
    RECIPE.run()
