"""An interactive model for volumes: ``python -m recipes.interactive_3d`` trains it from the one for pictures.

It writes ``models/shipped/interactive_3d``, which sessions on volumes take where it is there; without it the model for pictures
answers plane by plane. It begins as that one after five of its stages and learns what neighbouring planes and boxes of volumes
mean. No structure of the heart's MR, no hippocampus and no tumour is ever its object.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from casewise.interaction.simulation.pictures import Habits
from casewise.interaction.simulation.volumes import WARP, VolumesInTheLoop
from casewise.models import Model, Preparation, Spec
from casewise.models.networks.prompts import prompts_of
from casewise.training import Settings, fit
from experiments.interactive.volumes import GRID, Block, VolumeTasks, blocks, volumes
from recipes import interactive_2d
from recipes._common import Card, prepare_machine, progress, ship, told
from recipes.interactive_2d import OBJECT, tables
from recipes.interactive_2d import trained as begun_with

TOLD = {"hippocampus": "hippocampus, T1, unseen", "tumour": "glioma on FLAIR, unseen"}


@dataclass(frozen=True)
class Stage:
    """A part of the training: the network's grid, steps, rate, and planes that a batch may have."""

    size: tuple[int, int, int]
    steps: int
    rate: float
    planes: tuple[int, ...] = ()
    draw: int = 0  # added to the seed

    def settings(self, seed: int) -> Settings:
        return Settings(self.steps, 2, self.rate, augmentation="none", device="cpu", mixed=True, seed=seed + self.draw)


PLANES = (14, 20, 28, 40)
STAGES = (Stage((64, 64, 20), 850, 1.2e-3, PLANES, 1),)
HABITS = Habits(rounds=6, warp=WARP, prior=0.2, best=1.0, bias=0.3)
BEGUN = 5  # stages of the training for pictures that it goes on from


def begun(pictures: Model) -> Model:
    """The model for pictures as one for volumes: the same answers, plane by plane."""
    network = dict(pictures.spec.network)
    spec = Spec("segmentation", network, Preparation(3, GRID), structures=(OBJECT,))
    fresh = Model.initial("casewise-interactive-3d", spec, 0)
    weights: dict[str, torch.Tensor] = {}
    for name, tensor in fresh.weights.items():
        known = pictures.weights.get(name)
        weights[name] = tensor if known is None else known.reshape(tensor.shape).clone()
    return Model("casewise-interactive-3d", spec, weights, pictures.lineage)


def trained(pictures: Model, seed: int = 0, folder: Path | None = None, made: Sequence[Block] = ()) -> Model:
    """The trained model; ``folder`` keeps what each stage came to."""
    cases = list(volumes())
    draw = VolumeTasks(made or blocks(cases))
    told(f"{len(draw.blocks)} volumes, {sum(len(one.objects) for one in draw.blocks)} objects")
    model = begun(pictures)
    for number, stage in enumerate(STAGES, start=1):
        done = folder / str(number) if folder else None
        if done is not None and done.exists():
            model = Model.load(done)
            continue
        prompts = prompts_of(model.spec.network)
        source = VolumesInTheLoop(draw, "casewise-interactive-3d", stage.size, HABITS, prompts, planes=stage.planes)
        checkpoint = folder / f"{number}.pt" if folder else None
        settings = stage.settings(seed)
        model = fit(model, cases, settings=settings, method="continued", checkpoint=checkpoint, progress=progress, source=source)
        if done is not None:
            model.save(done)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where an interrupted training finds what it had done")
    given = parser.parse_args()
    prepare_machine()
    pictures = begun_with(given.seed, given.folder and given.folder / "pictures", interactive_2d.STAGES[:BEGUN])
    ship_measured(trained(pictures, given.seed, given.folder))


def ship_measured(model: Model) -> None:
    ship(model, "interactive_3d", tables(model, TOLD), CARD)


CARD = Card(
    command="python -m recipes.interactive_3d",
    data=(
        "what interactive_2d was trained on: it begins with the weights that this one had after five of its six stages",
        "TotalSegmentator's example CT, Apache-2.0: organs as a network outlined them; the heart, the spleen, the pancreas and the "
        "duodenum left out",
        "open MS data, Ljubljana, CC BY 4.0, one patient: lesions on FLAIR; T1 and T2 without masks",
        "without masks, for objects that need none: one ProstateX examination (CC BY 3.0), PyRadiomics' test images (BSD-3-Clause)",
        "drawn bodies, and all these shapes in scenes of a few alike greys",
    ),
    split=(
        "No cardiac MR, no hippocampus and no tumour was an object in training. It was judged against the one before on the organs "
        "left out, of which interactive_2d saw slices, and on their shapes in other images. benchmarks/results/interaction.md "
        "has the peers."
    ),
    fails=(
        "After the box alone it takes what stands out; even-grey structures among alike ones (hippocampus) need strokes.",
        "A first stroke may change little; after four the one before it was .03 better on hippocampi, not surely (p 0.3).",
        "It sees the box on 64×64 or 96×96 pixels a plane and 64 planes at most: thin vessels of a large box are lost.",
    ),
    limits="One training (one seed) of 850 steps beyond the pictures', on twelve volumes, most of them without masks.",
)

if __name__ == "__main__":
    main()
