"""An interactive model for volumes: ``python -m recipes.interactive_3d`` trains it from the one for pictures.

It writes ``models/shipped/interactive_3d``, which sessions on volumes take where it is there; without it the model for pictures
answers plane by plane. It begins as that one and learns what neighbouring planes and boxes of volumes mean. No structure of the
heart's MR, no hippocampus, no tumour and no liver is ever its object.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from casewise.interaction.simulation.pictures import Habits
from casewise.interaction.simulation.volumes import WARP, SimulatedUserInVolumes
from casewise.models import Model, Preparation, Spec
from casewise.models.networks.prompts import OF_VOLUMES, prompts_of
from casewise.training import Settings, fit
from experiments.interactive.volumes import GRID, Block, VolumeTasks, blocks, volumes
from recipes import interactive_2d
from recipes._common import Recipe, progress, report, ship, staged
from recipes.interactive_2d import OBJECT, tables, widened

TITLES = {"hippocampus": "hippocampus, T1, unseen", "tumour": "glioma on FLAIR, unseen", "liver": "liver on CT, left out"}


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
REACH = 2  # planes either way that a plane learns from at each level
HABITS = Habits(
    rounds=4, warp=WARP, prior=0.1, best=1.0, bias=0.2, freely=0.5, border=0.15, grids=((1.0, 0, 0, 0.85), (1.5, 0, 0, 0.15))
)
STAGES = (Stage((64, 64, 20), 1900, 1.2e-3, PLANES, 1),)


def begun(former: Model) -> Model:
    """A model for pictures, or one for volumes whose planes reach less far, as one for volumes that answers alike."""
    network = {**former.spec.network, "reach": REACH}
    spec = Spec("segmentation", network, Preparation(3, GRID), structures=(OBJECT,))
    fresh = Model.initial("casewise-interactive-3d", spec, 0)
    weights: dict[str, torch.Tensor] = {}
    for name, tensor in fresh.weights.items():
        known = former.weights.get(name)
        weights[name] = tensor.clone()
        if known is not None and name.endswith("mix.weight"):
            weights[name][:, : known.shape[1]] = known
        elif known is not None:
            weights[name] = known.reshape(tensor.shape).clone()
    known_prompts = [prompt for prompt in prompts_of(network) if prompt not in OF_VOLUMES]
    return widened(Model("casewise-interactive-3d", spec, weights, former.lineage), (*known_prompts[:-1], *OF_VOLUMES, "distances"))


def trained(former: Model, seed: int = 0, folder: Path | None = None, made: Sequence[Block] = ()) -> Model:
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

    return staged(begun(former), STAGES, stage_done, folder)


def main(given: Namespace) -> None:
    former = (
        Model.load(given.begin) if given.begin else interactive_2d.trained(given.seed, given.folder and given.folder / "pictures")
    )
    model = trained(former, given.seed, given.folder)
    ship(model, "interactive_3d", tables(model, TITLES), given.output)


def options(parser: ArgumentParser) -> None:
    interactive_2d.options(parser)
    parser.add_argument("--begin", type=Path, help="folder of the model to begin with (else that for pictures is trained first)")


RECIPE = Recipe(__doc__, main, options)

if __name__ == "__main__":
    RECIPE.run()
