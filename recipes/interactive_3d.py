"""An interactive model for volumes: ``python -m recipes.interactive_3d`` trains it from the one for pictures.

It writes ``models/shipped/interactive_3d``, which sessions on volumes take where it is there; without it the model for pictures
answers plane by plane. It begins as that one after five of its stages and learns what neighbouring planes and boxes of volumes
mean. No structure of the heart's MR, no hippocampus and no tumour is ever its object.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from casewise.interaction.simulation.pictures import Habits
from casewise.interaction.simulation.volumes import WARP, SimulatedUserInVolumes
from casewise.models import Model, Preparation, Spec
from casewise.models.networks.prompts import prompts_of
from casewise.training import Settings, fit
from experiments.interactive.volumes import GRID, Block, VolumeTasks, blocks, volumes
from recipes import interactive_2d
from recipes._common import Recipe, progress, report, ship, staged
from recipes.interactive_2d import OBJECT, options, tables
from recipes.interactive_2d import trained as begun_with

TITLES = {"hippocampus": "hippocampus, T1, unseen", "tumour": "glioma on FLAIR, unseen"}


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
    report(f"{len(draw.blocks)} volumes, {sum(len(one.objects) for one in draw.blocks)} objects")

    def stage_done(model: Model, stage: Stage, number: int) -> Model:
        prompts = prompts_of(model.spec.network)
        name, keys = "casewise-interactive-3d", [case.key for case in cases]
        users = SimulatedUserInVolumes(draw, name, stage.size, HABITS, prompts, planes=stage.planes, cases=keys)
        checkpoint, settings = folder and folder / f"{number}.pt", stage.settings(seed)
        return fit(model, users, settings=settings, method="continued", checkpoint=checkpoint, progress=progress)

    return staged(begun(pictures), STAGES, stage_done, folder)


def main(given: Namespace) -> None:
    pictures = begun_with(given.seed, given.folder and given.folder / "pictures", interactive_2d.STAGES[:BEGUN])
    model = trained(pictures, given.seed, given.folder)
    ship(model, "interactive_3d", tables(model, TITLES), given.output)


RECIPE = Recipe(__doc__, main, options)

if __name__ == "__main__":
    RECIPE.run()
