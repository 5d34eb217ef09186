"""The shipped encoder: ``python -m recipes.encoder`` trains it and writes ``src/casewise/models/shipped/encoder``.

An autoencoder at 64×64: the augmented image is rebuilt through 512 numbers, which are then what images are compared by. Data:
only sets that may be used so (see the card); a tenth of the subjects is set aside, and retrieval is measured on them against
plain thumbnails.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import sys
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
from recipes.licences import DATA

TARGET = Path(__file__).resolve().parents[1] / "src" / "casewise" / "models" / "shipped" / "encoder"
SETS = {  # pattern → licence
    "mednist/*/*.jpeg": "MedNIST, CC BY-SA 4.0",
    "montgomery/images/*.png": "NLM Montgomery County chest X-rays, public",
    "shenzhen/images/*.png": "NLM Shenzhen chest X-rays, public",
    "hippocampus/images/*.nii.gz": "Medical Segmentation Decathlon, task 4, CC BY-SA 4.0",
    "busi/*/*.png": "BUSI breast ultrasound, CC BY 4.0",
    "open-ms/*/*_regtoMNI.nii.gz": "open-ms (Ljubljana), CC BY 4.0",
    "pyradiomics-mr/*_image.nrrd": "pyradiomics examples, BSD-3-Clause",
}
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", type=Path, default=TARGET)
    options = parser.parse_args()
    everything = cases()
    aside = [int(hashlib.blake2b(str(case.subject).encode()).hexdigest(), 16) % 10 == 0 for case in everything]
    training = [case for case, held in zip(everything, aside, strict=True) if not held]
    held_out = [case for case, held in zip(everything, aside, strict=True) if held]
    sys.stderr.write(f"{len(training)} images to train on, {len(held_out)} held out: {Counter(c.category for c in held_out)}\n")
    start = Model.initial("casewise-encoder", SPEC)
    settings = Settings(steps=options.steps, batch=16, rate=2e-3, device=options.device)
    model = fit(start, training, settings=settings, method="initial", progress=_told)
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
    sys.stderr.write(f"{measures}\n")
    model = Model(model.name, model.spec, model.weights, replace(model.lineage.measured(**measures), training_data=DATA["encoder"]))
    shutil.rmtree(options.output, ignore_errors=True)
    model.save(options.output)
    card = options.output / "card.md"
    card.write_text(card.read_text() + _DATA + "".join(f"- {licence}\n" for licence in SETS.values()))


_DATA = """
## Data, split, command
`python -m recipes.encoder`; a tenth of the subjects, chosen by a hash of their names, is held out and measured on: the share of
the ten most similar held-out images that are of the query's own category (twelve of them, some with fewer than ten). Trained on:

"""


def _told(step: int, total: int, loss: float) -> None:
    if step % 100 == 0:
        sys.stderr.write(f"{step}/{total} {loss:.4f}\n")


if __name__ == "__main__":
    main()
