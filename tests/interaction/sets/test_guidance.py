"""Sets of images: what accepted masks do for the next image, what is remembered, and what is not believed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from casewise import Box, Image
from casewise.archive import Archive
from casewise.case import Case, Structure
from casewise.interaction import InteractiveSegmentation
from casewise.interaction.sets.guidance import REFINEMENT, accept, prepare
from casewise.interaction.sets.leave_one_out import LeaveOneOut, dissimilar, leave_one_out, weights
from casewise.models import Model, Preparation, Spec
from casewise.training.metrics import dice

QUICK = replace(REFINEMENT, steps=3, batch=2, mixed=False)
NETWORK = {"kind": "prompt_unet", "channels": [4, 8, 8]}


@pytest.fixture(scope="module")
def model() -> Model:
    spec = Spec("segmentation", NETWORK, Preparation(2, (32, 32)), structures=(Structure.parse("object"),))
    return Model.initial("untrained", spec)


def ringed(number: int) -> tuple[Image, np.ndarray, Box]:
    """A bright wall around a dark cavity beside a bright bar; (image, the wall, a loose box around it)."""
    rng = np.random.default_rng(number)
    rows, columns = np.mgrid[:90, :100]
    away = np.hypot(rows - 40 - number, columns - 40)
    wall = (away < 18 + number % 3) & (away >= 11)
    values = 0.2 + 0.6 * wall + 0.4 * barred() + rng.normal(0, 0.03, wall.shape)
    tight = Box.around(wall)
    box = Box(tuple(low - 2 for low in tight.lower), tuple(high + 3 for high in tight.upper))
    return Image(values.astype(np.float32)[None]), wall, box


def barred() -> np.ndarray:
    bar = np.zeros((90, 100), bool)
    bar[15:75, 75:85] = True
    return bar


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    with Archive.open(tmp_path / "set", create=True) as opened:
        yield opened


def add(archive: Archive, number: int, mask: np.ndarray | None = None) -> str:
    image, wall, _ = ringed(number)
    return archive.add(image, {"wall": wall if mask is None else mask})


def test_nothing_is_known_before_the_first_mask(archive: Archive, model: Model) -> None:
    image, _, box = ringed(0)
    prepared = prepare(model, image, archive, "wall", box, settings=QUICK, device="cpu")
    assert prepared.model is model and prepared.guess is None and prepared.cases == ()
    assert not (Path(archive.folder) / "sets").exists()


def test_the_model_is_refined_once_for_each_mask_and_goes_on(archive: Archive, model: Model) -> None:
    steps: list[int] = []

    def count(step: str, done: int, total: int | None = None, note: str = "", /) -> None:
        if step == "Refining":
            steps.append(done)

    keys = []
    for number in range(3):
        image, wall, box = ringed(number)
        prepared = prepare(model, image, archive, "wall", box, settings=QUICK, device="cpu", progress=count)
        again = prepare(model, image, archive, "wall", box, settings=QUICK, device="cpu", progress=count)
        assert again.model.key == prepared.model.key and np.array_equal(again.guess, prepared.guess)
        session = InteractiveSegmentation(prepared.model, image, box, mask=wall, device="cpu")
        keys.append(accept(archive, session, "wall", prepared=prepared))
    assert steps == [1, 2, 3] * 2
    assert set(prepared.model.lineage.refined_on) == set(keys[:2]) and prepared.model.name == "untrained+wall"
    assert dice(prepared.guess, wall) > 0.85 and "2 accepted cases of wall" in prepared.reason
    (kept,) = (Path(archive.folder) / "sets").iterdir()
    assert sorted(one.name for one in kept.iterdir()) == sorted([prepared.model.key, "set.json"])


def refined(archive: Archive, model: Model, number: int = 9) -> str:
    image, _, box = ringed(number)
    return prepare(model, image, archive, "wall", box, settings=QUICK, device="cpu").model.key


def test_the_same_calls_give_the_same_model(tmp_path: Path, model: Model) -> None:
    found = []
    for name in ("one", "other"):
        with Archive.open(tmp_path / name, create=True) as opened:
            for number in range(2):
                add(opened, number)
                found.append(refined(opened, model))
    assert found[:2] == found[2:] and found[0] != found[1]


def test_a_mask_that_changed_is_forgotten(archive: Archive, model: Model) -> None:
    first = add(archive, 0)
    alone = refined(archive, model)
    add(archive, 1)
    both = refined(archive, model)
    assert refined(archive, model) == both != alone
    image, wall, _ = ringed(0)
    moved = np.roll(wall, 1, axis=0)
    assert archive.add(image, {"wall": moved}) == first
    assert refined(archive, model) not in (both, alone)
    # The image itself is left out, so nothing that learnt from its mask may answer on it.
    image, _, box = ringed(1)
    prepared = prepare(model, image, archive, "wall", box, settings=QUICK, device="cpu")
    assert prepared.model.lineage.refined_on == (first,)


def test_other_models_and_structures_are_kept_apart(archive: Archive, model: Model) -> None:
    image, wall, box = ringed(0)
    archive.add(image, {"wall": wall, "../../bar": wall})
    other = Model.initial("other", model.spec, seed=3)
    image, _, box = ringed(9)
    keys = {
        prepare(one, image, archive, name, box, settings=QUICK, device="cpu").model.lineage.parent
        for one, name in ((model, "wall"), (other, "wall"), (model, "../../bar"))
    }
    assert keys == {model.key, other.key}
    folders = list((Path(archive.folder) / "sets").iterdir())
    assert len(folders) == 3 and all(len(one.name) == 32 for one in folders)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "set.json").write_text("{"),
        lambda folder: (folder / "set.json").write_text(
            '{"format": 1, "masks": {}, "model": "../../../etc", "on": {}, "steps": 9}'
        ),
        lambda folder: (folder / "set.json").write_text('{"format": 1, "masks": [], "model": null}'),
        lambda folder: next(folder.glob("*/weights.safetensors")).write_bytes(b"x" * 40),
        lambda folder: next(folder.glob("*/model.toml")).unlink(),
    ],
)
def test_what_is_damaged_counts_as_never_kept(damage: Callable[[Path], object], archive: Archive, model: Model) -> None:
    add(archive, 0)
    before = refined(archive, model)
    (folder,) = (Path(archive.folder) / "sets").iterdir()
    damage(folder)
    assert refined(archive, model) == before


def test_masks_of_another_structure_are_left_out(archive: Archive, model: Model) -> None:
    for number in range(3):
        add(archive, number, barred())
    image, _, box = ringed(5)
    prepared = prepare(model, image, archive, "wall", box, settings=QUICK, device="cpu")
    assert prepared.model is model and prepared.guess is None and prepared.cases == ()
    assert "does not resemble the wall of the 3 accepted cases" in prepared.reason
    # And where the box shows what they show, they count.
    tight = Box.around(barred())
    displayed = Box(tuple(low - 3 for low in tight.lower), tuple(high + 2 for high in tight.upper))
    prepared = prepare(model, image, archive, "wall", displayed, settings=None, device="cpu")
    assert prepared.model is model and dice(prepared.guess, barred()) > 0.9


def test_a_poor_mask_is_hardly_believed(archive: Archive, model: Model) -> None:
    image, wall, _ = ringed(3)
    poor = np.roll(wall, (9, 9), axis=(0, 1))
    cases = [Case.of(image, {"wall": poor})]
    cases += [Case.of(picture, {"wall": mask}) for picture, mask, _ in map(ringed, range(3))]
    scores = {case.key: leave_one_out(case, [other for other in cases if other is not case], "wall") for case in cases}
    worth = weights(scores, [case.key for case in cases])
    assert worth[0] < 0.6 * min(worth[1:]) and max(worth) == 1


def test_one_mask_alone_is_believed_where_the_images_look_alike() -> None:
    image, wall, box = ringed(0)
    lonely = leave_one_out(Case.of(image, {"wall": wall}), [], "wall")
    assert lonely.others == 0 and weights({"a": lonely}, ["a"]) == [1.0]
    assert dissimilar(None, image, box, [lonely]) is not None
    # Objects that look each like itself say nothing of how alike the next has to be.
    scattered = [LeaveOneOut(0.3, 0.1, 4, (20.0, 20.0), 0.9)] * 4
    assert dissimilar(None, image, box, scattered) is None
