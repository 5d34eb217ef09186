"""The shipped interactive model: ``python -m recipes.interactive_2d`` trains it and writes ``models/shipped/interactive_2d``.

Class-agnostic: it learns what a box and strokes mean, on objects of every kind, with a simulated user in the loop. No structure of
the heart's MR, no hippocampus and no tumour is ever its object, so that benchmarks/interaction.py measures it on the unseen.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch

from casewise.interaction.simulation.pictures import Habits, SimulatedUser
from casewise.models import Model, Preparation, Spec
from casewise.models.networks.prompts import PROMPTS, prompts_of
from casewise.training import Settings, fit
from experiments.interaction.measure import measure
from experiments.interactive.anatomy import Anatomy, mixed, sections_of
from experiments.interactive.network import AS_SEEN, NETWORK, OBJECT
from experiments.interactive.pictures import Tasks, cases_without_masks, labelled_cases, more_kinds, organs, plates_of
from experiments.interactive.structures import LabelledPictures, labelled_pictures
from experiments.splits import by_patient
from recipes._common import Recipe, Row, kept_in, mean_row, progress, report, ship, staged

ALL = ((0.2, 0.27, 0.08, 0.35, 0.1), (0.45, 0.6))
MORE_WALLS = ((0.17, 0.25, 0.07, 0.41, 0.1), (0.55, 0.65))  # walls around cavities are what most strokes are spent on
SMALL = ((1.0, 16.0, 110.0, 1.0),)
VEILED = ((0.2, 0.22, 0.06, 0.42, 0.1), (0.5, 0.6), 0.5)  # and objects whose border is partly out of sight
WALLS_AGAIN = ((0.17, 0.19, 0.06, 0.5, 0.08), (0.65, 0.7), 0.3)
LAST = ((0.15, 0.18, 0.05, 0.52, 0.1), (0.6, 0.65), 0.35)
OVERLAPPING = ((1.0, 16.0, 65.0, 0.45), (1.5, 32.0, 98.0, 0.35), (2.0, 64.0, 300.0, 0.2))  # a session's, and finer ones
FINER = ((1.0, 16.0, 48.0, 0.35), (1.5, 42.0, 75.0, 0.4), (2.0, 68.0, 300.0, 0.25))  # those that a session takes now
HOLLOW = ((0.13, 0.14, 0.05, 0.6, 0.08), (0.75, 0.75), 0.4)
SIZE, FORMER_SIZE = (128, 128), (64, 64)
SEEN_AT_128 = ((1.0, 14.0, 95.0, 0.62), (1.5, 95.0, 142.0, 0.16), (2.0, 142.0, 640.0, 0.22))
DRAWN = ((0.18, 0.22, 0.06, 0.44, 0.1), (0.65, 0.7), 0.4)
PEOPLE = Habits(
    rounds=6, many=0.0, prior=0.2, grids=SEEN_AT_128, narrow=0.45, best=1.0, bias=0.35, at_once=0.4, freely=0.5, border=0.2
)
SIZED = replace(PEOPLE, at_once=0.45, true_sized=True)
LINED = ((0.16, 0.2, 0.06, 0.48, 0.1), (0.55, 0.7), 0.4, 0.5)  # and vessels, and walls between cells
FINELY = replace(SIZED, grids=((1.0, 14.0, 95.0, 0.55), (1.5, 95.0, 142.0, 0.15), (2.0, 142.0, 400.0, 0.3)))
CONTEXT = 160  # channels of a level below the deepest one, for the finer grids
EVERY = ((1.0, 16.0, 65.0, 0.7), (1.5, 50.0, 95.0, 0.12), (2.0, 85.0, 145.0, 0.1), (3.0, 130.0, 400.0, 0.08))


@dataclass(frozen=True)
class Stage:
    """A part of the training.

    tasks : what :class:`Tasks` is given. anatomy : share of tasks that are organs, or shaped as they are. habits : of the simulated
    user. draws : added to the seed, so that later stages see other tasks; of several, the weights that each leads to are averaged.
    later : how many of the prompts in ``LATER`` it is given. size : of the network's grid. structures : share of tasks that are
    nuclei, vessels, lesions on ultrasound and wounds; where there are some, pictures of further kinds are seen as well.
    network : what the network is given besides.
    """

    steps: int
    rate: float
    tasks: (
        tuple[tuple[float, ...], tuple[float, float]]
        | tuple[tuple[float, ...], tuple[float, float], float]
        | tuple[tuple[float, ...], tuple[float, float], float, float]
    )
    habits: Habits
    draws: tuple[int, ...] = (0,)
    later: int = 0
    anatomy: float = 0.0
    size: tuple[int, int] = FORMER_SIZE
    batch: int = 16
    structures: float = 0.0
    network: Mapping[str, int] = field(default_factory=dict)

    def settings(self, seed: int) -> Settings:
        return Settings(self.steps, self.batch, self.rate, augmentation="none", device="cpu", mixed=True, seed=seed)


STAGES = (
    Stage(2400, 2.5e-3, ALL, Habits(grids=SMALL)),
    Stage(1700, 1.5e-3, MORE_WALLS, Habits(prior=0.3, grids=EVERY), (2,), 1),
    Stage(2600, 1.5e-3, VEILED, Habits(7, prior=0.25, grids=AS_SEEN, narrow=0.45, best=0.6), (3,), 2),
    Stage(2100, 1.2e-3, WALLS_AGAIN, Habits(5, 0.2, prior=0.25, grids=AS_SEEN, narrow=0.45, best=0.6), (4,), 2),
    Stage(4500, 1.2e-3, LAST, Habits(6, 0.15, prior=0.25, grids=OVERLAPPING, narrow=0.45, best=1.0, bias=0.4), (5, 6), 2, 0.3),
    Stage(2600, 8e-4, HOLLOW, Habits(6, 0.15, prior=0.25, grids=FINER, narrow=0.45, best=1.0, bias=0.4), (7,), 2, 0.2),
    Stage(3600, 1.2e-3, DRAWN, PEOPLE, (8,), 2, 0.2, SIZE, 8, 0.3, {"context": CONTEXT}),
    Stage(600, 8e-4, DRAWN, SIZED, (9,), 2, 0.2, SIZE, 8, 0.3),
    Stage(3600, 1e-3, LINED, FINELY, (10,), 2, 0.15, SIZE, 8, 0.28),
)
LATER = ("prior", "slack")  # what the first stage does not get
FIRST = tuple(name for name in PROMPTS if name not in LATER)
SPEC = Spec("segmentation", NETWORK | {"prompts": list(FIRST)}, Preparation(2, FORMER_SIZE), structures=(OBJECT,))
TITLES = {"heart": "ACDC, heart MR, unseen structures", "lesions": "lesions on FLAIR, unseen", "films": "radiographs"}


def trained(seed: int = 0, folder: Path | None = None, stages: Sequence[Stage] = STAGES) -> Model:
    """The trained model; ``folder`` keeps what each stage came to."""
    if folder and (folder / str(len(stages))).exists():
        return Model.load(folder / str(len(stages)))
    labelled, _ = labelled_cases()
    cases = [*labelled, *cases_without_masks()]
    plates = [made for case in cases for made in plates_of(case)]
    report(f"{len(cases)} images, {len(plates)} pictures, {sum(bool(one.objects) for one in plates)} of them labelled")
    anatomy = Anatomy([section for case in organs() for section in sections_of(case)])
    structures = list(labelled_pictures())
    kinds = list(more_kinds())
    further = [made for case in kinds for made in plates_of(case)]
    report(f"and {len(structures)} small labelled pictures, {len(kinds)} of further kinds")

    def stage_done(model: Model, stage: Stage, number: int) -> Model:
        model = widened(model, tuple(name for name in PROMPTS if name in (*FIRST, *LATER[: stage.later])))
        model = grown(model, stage.network, stage.size)
        keys = [case.key for case in cases]
        tasks = mixed(Tasks(plates, *stage.tasks), anatomy, stage.anatomy)
        if stage.structures:
            tasks = mixed(
                mixed(Tasks([*plates, *further], *stage.tasks), anatomy, stage.anatomy),
                LabelledPictures(structures),
                stage.structures,
            )
            keys += [*(one.key for one in structures), *(case.key for case in kinds)]
        prompts = prompts_of(model.spec.network)
        users = SimulatedUser(tasks, "casewise-interactive-2d", stage.size, stage.habits, prompts, keys)
        begin = partial(fit, model, users, method="initial", progress=progress)
        return averaged([_way(begin, stage.settings(seed + draw), folder and folder / f"{number}-{draw}") for draw in stage.draws])

    return staged(Model.initial("casewise-interactive-2d", SPEC, seed), stages, stage_done, folder)


def _way(begin: Callable[..., Model], settings: Settings, kept: Path | None) -> Model:
    """One draw of a stage, kept where there is a place for it."""
    return kept_in(kept, lambda: begin(settings=settings, checkpoint=kept and kept.with_suffix(".pt")))


def averaged(models: Sequence[Model]) -> Model:
    """The mean of the weights of models that were trained from the same one (Wortsman et al. 2022, arXiv 2203.05482)."""
    first = models[0]
    weights = {name: torch.stack([one.weights[name] for one in models]).mean(dim=0) for name in first.weights}
    return first if len(models) == 1 else replace(first, weights=weights)


def widened(model: Model, prompts: Sequence[str]) -> Model:
    """The same model with further prompts, which say nothing to it yet."""
    known = prompts_of(model.spec.network)
    if known == tuple(prompts):
        return model
    spec = replace(model.spec, network={**model.spec.network, "prompts": list(prompts)})
    name = "encoder.0.0.weight"
    old = model.weights[name]
    images = old.shape[1] - len(known)
    new = torch.zeros(old.shape[0], images + len(prompts), *old.shape[2:])
    new[:, :images] = old[:, :images]
    for place, prompt in enumerate(prompts):
        if prompt in known:
            new[:, images + place] = old[:, images + known.index(prompt)]
    return Model(model.name, spec, {**model.weights, name: new}, model.lineage)


def grown(model: Model, network: Mapping[str, int], size: tuple[int, int]) -> Model:
    """The same model on another grid, with what ``network`` names added; that begins at none, so that it answers as it did."""
    if not network and size == model.spec.preparation.size:
        return model
    spec = replace(model.spec, network={**model.spec.network, **network}, preparation=Preparation(2, size))
    return Model(model.name, spec, {**Model.initial(model.name, spec, 0).weights, **model.weights}, model.lineage)


def main(given: Namespace) -> None:
    model = trained(given.seed, given.folder)
    ship(model, "interactive_2d", tables(model, TITLES), given.output)


def options(parser: ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where an interrupted training finds what it had done")


def tables(model: Model, groups: Mapping[str, str]) -> list[Row]:
    """A card's rows: mean Dice after some strokes in each of the benchmark's ``groups``."""
    rows = [row for row in measure(model, tuple(groups), ("casewise",)) if row["method"] == "casewise"]
    return [reported_row for group, title in groups.items() for reported_row in _table(rows, group, title)]


def _after(strokes: int, row: dict) -> float:
    return float(row["dice"][strokes])


def _table(rows: list[dict], group: str, title: str) -> list[Row]:
    mine = [row for row in rows if row["group"] == group]
    found = []
    for count in (0, 1, 2, 4, 8):
        values = list(by_patient(mine, partial(_after, count)).values())
        what = "Dice after the box" if count == 0 else f"Dice after {count} stroke{'s' if count > 1 else ''}"
        found.append(mean_row(what, f"{title}, {len(mine)} tasks of {len(values)} patients", values))
    return found


RECIPE = Recipe(__doc__, main, options)

if __name__ == "__main__":
    RECIPE.run()
