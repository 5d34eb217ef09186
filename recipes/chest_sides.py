"""What tells the sides of a chest radiograph by its pixels: ``python -m recipes.chest_sides``.

Two logistic regressions on differences between a film and its mirror image: of the shipped region network's features, and of its
outlines. Each site is left out in turn to measure them and to bring their scores to a deviation of 1; what is shipped is fitted to
all films.
"""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression

from casewise.chest.region_evidence import CELLS, LEVELS, WEIGHTS, differences
from casewise.chest.region_network import MODEL, seen_by
from casewise.chest.region_pose import Pose
from casewise.chest.region_sides import Evidence
from casewise.formats import read
from casewise.models.shipped import load
from experiments import datasets
from recipes._common import Recipe, report

if TYPE_CHECKING:
    from casewise.models.networks.efficient_unet import EfficientUNet

SITES = {
    "JSRT (Japan)": ("jsrt/images/*.png", "jsrt-more/images/*.jpg"),
    "Montgomery (USA)": ("montgomery/images/*.png",),
    "Shenzhen (China)": ("shenzhen/images/*.png",),
    "NIH ChestX-ray (USA)": ("nih-cxr1024/images/*.jpg",),
    "MedNIST's radiographs, 64 pixels": ("mednist/CXR/*.jpeg",),
}
MOST = 500  # of a site
STRENGTHS = (3e-4, 1.0)  # inverse regularisation: of thousands of features, of nine numbers of outlines
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Films:
    """site : (n,) names. features : (n, many), outlines : (n, 9), zeros where a region was not outlined."""

    site: npt.NDArray[np.str_]
    features: Floats
    outlines: Floats


def films() -> Films:
    model = load(MODEL)
    rows = []
    for site, patterns in SITES.items():
        paths = [path for pattern in patterns for path in datasets.files(pattern)][:MOST]
        for path in paths:
            features, outlines = differences(model, seen_by(model, read(path)), Pose(), "cpu")
            rows.append((site, features, np.zeros(9) if outlines is None else outlines))
        report(f"{site}: {len(paths)} films")
    return Films(np.array([row[0] for row in rows]), *(np.array([row[k] for row in rows], np.float64) for k in (1, 2)))


def fitted(values: Floats, site: npt.NDArray[np.str_], strength: float) -> Floats:
    """Weights of a film's differences, each site with the root of its films' number; its mirror image is the other class."""
    scale = np.where((spread := np.sqrt((values**2).mean(axis=0))) > 0, spread, 1.0)
    if values.shape[1] > len(values):  # one scale a level of the network, so that no rare feature counts much
        edges = np.cumsum([width * CELLS**2 for width in widths()])
        levels = np.split(values, edges[:-1], axis=1)
        scale = np.concatenate([np.full(level.shape[1], np.sqrt((level**2).mean())) for level in levels])
    both, labels = np.concatenate([values, -values]) / scale, np.repeat([1, 0], len(values))
    weights = np.tile([1 / np.sqrt((site == one).sum()) for one in site], 2)
    model = LogisticRegression(C=strength, fit_intercept=False, max_iter=1000)
    return np.asarray(model.fit(both, labels, sample_weight=weights / weights.mean()).coef_[0] / scale)


def widths() -> list[int]:
    """Channels of the levels that features come from."""
    network = cast("EfficientUNet", load(MODEL).ready("cpu"))
    with torch.inference_mode():
        return [int(level.shape[1]) for level in network.encoder.levels_of(torch.zeros(1, 1, 64, 64))[-LEVELS:]]


def left_out(values: Floats, site: npt.NDArray[np.str_], strength: float) -> Floats:
    """(n,) each film's score by what was fitted to the other sites."""
    scores = np.zeros(len(values))
    for one in np.unique(site):
        own = site == one
        scores[own] = values[own] @ fitted(values[~own], site[~own], strength)
    return scores


def table(found: Films, scores: Sequence[Floats]) -> list[str]:
    displayed = [Evidence(float(a), float(b)) for a, b in zip(*scores, strict=True)]
    lines = ["| site, left out | films | named as displayed | mirrored, named wrongly | shown beyond doubt | of these wrong |"]
    lines += ["|---|---|---|---|---|---|"]
    for site in (*SITES, "all"):
        own = [one for one, name in zip(displayed, found.site, strict=True) if site in (name, "all")]
        sure = [one for one in own if one.beyond_doubt or one.reversed().beyond_doubt]
        numbers = (
            sum(one.agrees for one in own) / len(own),
            sum(one.reversed().agrees for one in own) / len(own),
            len(sure) / len(own),
        )
        wrong = sum(one.reversed().beyond_doubt for one in own)
        lines.append(f"| {site} | {len(own)} | " + " | ".join(f"{n:.1%}" for n in numbers) + f" | {wrong} |")
    return lines


def main(options: Namespace) -> None:
    found = films()
    kinds = (found.features, found.outlines)
    raw = [left_out(values, found.site, strength) for values, strength in zip(kinds, STRENGTHS, strict=True)]
    scales = [float(np.std(scores)) for scores in raw]
    scores = [values / scale for values, scale in zip(raw, scales, strict=True)]
    weights = [fitted(values, found.site, c) / scale for values, c, scale in zip(kinds, STRENGTHS, scales, strict=True)]
    report(f"deviation of both scores' sum: {np.std(scores[0] + scores[1]):.2f}")
    WEIGHTS.parent.mkdir(exist_ok=True)
    save_file({"features": weights[0].astype(np.float16), "outlines": weights[1].astype(np.float32)}, WEIGHTS)
    path = WEIGHTS.parent / "card.md"
    card = re.sub(r"(\|.*\n)+", "\n".join(table(found, scores)) + "\n", path.read_text(encoding="utf-8"), count=1)
    path.write_text(re.sub(r"fitted to: \d+ films", f"fitted to: {len(found.site)} films", card), encoding="utf-8")
    report(card)


RECIPE = Recipe(__doc__, main)

if __name__ == "__main__":
    RECIPE.run()
