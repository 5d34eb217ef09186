"""The shipped encoder: ``python -m recipes.encoder`` fits it and writes ``src/casewise/models/shipped/encoder``.

What the network that was learnt on photographs (``shipped/backbone``) sees of a picture, projected to 256 numbers by which images
are compared: the principal components of a 4 × 4 grid of its fifth stage, and the directions of its last four stages' means in
which kinds of images differ most. Both are fitted, in one step, on the images that the router learns from, but for those that are
for research alone and the films of the two sites on which ``benchmarks/encoders.py`` measures.
"""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from casewise.case import Case
from casewise.hashing import file_key
from casewise.models import Model, Preparation, Spec
from casewise.models.encoding import ModelEncoder
from casewise.models.networks.efficient_net import WEIGHTS
from casewise.models.networks.projected import Projected
from casewise.models.spec import Lineage
from experiments.routing import SOURCES, cases, parts
from recipes._common import Recipe, report, with_card
from recipes.licences import DATA

NUMBERS = 256
LEFT_OUT = ("acdc", "montgomery", "shenzhen")
_MOST = 400  # images of a source, so that no set drowns the others
_SHRINKAGE = 1.0  # of the covariance within kinds, towards the mean of its variances; chosen on held-out images, as all here
_NEAREST = 10
Matrix = npt.NDArray[np.float64]


def parted() -> tuple[list[Case], list[Case]]:
    """(images to fit on, images held out); the category of one that the router takes for unknown is its source's name."""
    fitted: list[Case] = []
    held: list[Case] = []
    for source in SOURCES:
        if not source.trained or source.name in LEFT_OUT:
            continue
        found = [case if source.category != "unknown" else replace(case, category=source.name) for case in cases(source)]
        where = parts(source, found)
        fitted += [case for case in found if where[case.key] == "training"][:_MOST]
        held += [case for case in found if where[case.key] == "validation"]
    return fitted, held


def main(given: Namespace) -> None:
    fitted, held = parted()
    kinds = [str(case.category) for case in fitted]
    report(f"{len(fitted)} images to fit on: {Counter(kinds)}; {len(held)} held out")
    across = len(set(kinds)) - 1
    spec = Spec("encoding", {"kind": "projected", "numbers": [NUMBERS - across, across]}, Preparation(size=(128, 128), channels=3))
    start = Model.initial("casewise-encoder", spec)
    grids, means = _features(start, fitted)
    layers = {"place": components(grids, NUMBERS - across), "kind": discriminants(means, kinds, across)}
    weights = {
        f"{name}.{part}": tensor
        for name, (mean, matrix) in layers.items()
        for part, tensor in (
            ("weight", torch.from_numpy(matrix.T.copy()).half()),
            ("bias", torch.from_numpy(-mean @ matrix).float()),
        )
    }
    lineage = Lineage("fitted", file_key(WEIGHTS), "backbone", frozenset(case.key for case in fitted))
    model = Model(start.name, spec, weights, lineage)
    vectors = model.encoder("cpu").encode([case.image for case in held])
    measures = {"precision_at_10": precision(vectors, [str(case.category) for case in held]), "held_out_images": float(len(held))}
    report(str(measures))
    lineage = replace(lineage.measured(**measures), training_data=DATA["encoder"])
    with_card("encoder", replace(model, lineage=lineage).save, given.output)


def _features(model: Model, of: Sequence[Case]) -> tuple[Matrix, Matrix]:
    """(n, grid) and (n, means) of images; of a volume the mean of its slices'."""
    encoder, network = model.encoder("cpu"), model.ready("cpu")
    assert isinstance(encoder, ModelEncoder) and isinstance(network, Projected)
    rows = []
    with torch.inference_mode():
        for number, case in enumerate(of):
            rows.append([part.mean(dim=0).numpy() for part in network.features(torch.stack(encoder.views(case.image)))])
            if number % 100 == 0:
                report(f"{number}/{len(of)}")
    grids, means = (np.stack(part).astype(np.float64) for part in zip(*rows, strict=True))
    return grids, means


def components(features: Matrix, count: int) -> tuple[Matrix, Matrix]:
    """(mean, matrix (features, count)) of the principal components."""
    mean = features.mean(axis=0)
    _, _, axes = np.linalg.svd(features - mean, full_matrices=False)
    return mean, axes[:count].T


def discriminants(features: Matrix, kinds: Sequence[str], count: int) -> tuple[Matrix, Matrix]:
    """(mean, matrix (features, count)): the directions in which kinds' means differ most, features brought to one covariance
    within kinds. Each kind counts alike, however many images show it (linear discriminant analysis, Fisher 1936; Rao 1948).
    """
    mean, deviation, names = features.mean(axis=0), features.std(axis=0) + 1e-6, np.array(kinds)
    scaled = (features - mean) / deviation
    own = [scaled[names == kind] for kind in sorted(set(kinds))]
    within = sum((of - of.mean(axis=0)).T @ (of - of.mean(axis=0)) / len(of) for of in own) / len(own)
    variances, axes = np.linalg.eigh(within)
    variances = np.maximum(variances, 0)
    whitening = (axes * (variances + _SHRINKAGE * variances.mean()) ** -0.5) @ axes.T
    middles = np.stack([(of @ whitening).mean(axis=0) for of in own])
    _, _, directions = np.linalg.svd(middles - middles.mean(axis=0), full_matrices=False)
    return mean, whitening @ directions[:count].T / deviation[:, None]


def precision(vectors: npt.NDArray[np.float32], labels: Sequence[str]) -> float:
    """Share of the ten most similar that are of the image's own kind, as an archive compares."""
    centred, names = vectors - vectors.mean(axis=0), np.array(labels)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    likeness = unit @ unit.T
    np.fill_diagonal(likeness, -2)
    nearest = np.argsort(-likeness, axis=1)[:, :_NEAREST]
    return float((names[nearest] == names[:, None]).mean())


RECIPE = Recipe(__doc__, main)

if __name__ == "__main__":
    RECIPE.run()
