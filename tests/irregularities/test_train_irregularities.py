"""``casewise train irregularities``: bright discs in two regions, lesions in a volume, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from casewise import formats
from casewise.applications.detected import Detected, declared_for
from casewise.archive import Archive
from casewise.case import Case, Structure
from casewise.errors import CasewiseError, UsageError
from casewise.finding import FINDING, MEASURE
from casewise.image import Box, Image
from casewise.irregularities import learning
from casewise.irregularities.froc import Outcome
from casewise.irregularities.from_archive import Labelled, labelled
from casewise.irregularities.learning import Plan, chosen_planes, train_irregularities
from casewise.irregularities.measuring import Measured, thresholds
from casewise.irregularities.scenes import RegionLook, Scale, body
from casewise.models import Model
from tests.cli.conftest import Call, call  # noqa: F401

DISC = Structure.parse("disc")
QUICK = Plan("both", 1, settings=replace(learning.SETTINGS, steps=40, batch=4, device="cpu"))


def picture(number: int, shape: tuple[int, int] = (150, 180)) -> tuple[np.ndarray, list[Box]]:
    """Two grey ellipses; in two of three pictures one of them holds a bright disc."""
    rng = np.random.default_rng(number)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    sides = [np.hypot((rows - 75) / 65, (columns - middle) / 38) < 1 for middle in (47, 133)]
    pixels = rng.normal(30, 3, shape) + 50 * (sides[0] | sides[1])
    if number % 3 == 0:
        return pixels.clip(0, 255), []
    row, column, radius = rng.integers(45, 105), (47, 133)[number % 2] + rng.integers(-12, 12), rng.uniform(12, 15)
    pixels += 70 * (np.hypot(rows - row, columns - column) < radius)
    lower, upper = (row - int(radius), column - int(radius)), (row + int(radius) + 1, column + int(radius) + 1)
    return pixels.clip(0, 255), [Box(lower, upper)]


def case(number: int, by: str = "boxes") -> Case:
    pixels, boxes = picture(number)
    image = Image(pixels[None].astype(np.uint8))
    category = "marked" if boxes else "normal"
    mask = np.zeros(pixels.shape, bool)
    for box in boxes:
        mask[box.slices] = True
    masks = {"disc": mask} if by == "masks" and boxes else {}
    return Case.of(image, masks, {"disc": boxes} if by == "boxes" and boxes else {}, category=category, name=f"picture {number}")


def found(*numbers: int, by: str = "boxes") -> list[Labelled]:
    return labelled([case(number, by) for number in numbers], DISC)


@cache
def detector() -> tuple[Model, RegionLook]:
    examples = found(*range(12))
    scale = Scale.of([size for one in examples for size in one.sizes], [0.0] * sum(len(one.sizes) for one in examples))
    look = RegionLook((), scale)
    made = train_irregularities(examples, "discs", "disc", look, scale, QUICK, validation=found(12, 13, 14, 15, 16, 17))
    return made, look


def test_boxes_and_masks_are_the_same_irregularities() -> None:
    for one, other in zip(found(1, 2, 3), found(1, 2, 3, by="masks"), strict=True):
        assert one.found == other.found and one.case.key == other.case.key
    assert [bool(one.found) for one in found(0, 1, 2)] == [False, True, True]


def test_cases_of_which_nothing_is_known_are_left_out() -> None:
    unknown = replace(case(0), category="something")
    assert labelled([unknown, case(1)], DISC)[0].case.name == "picture 1"
    with pytest.raises(CasewiseError, match=r"No case has a box or a mask of spot; there are boxes of disc and masks of nothing"):
        labelled([case(0), case(1)], Structure.parse("spot"))


def test_every_piece_of_a_volumes_mask_is_one_irregularity_slice_by_slice() -> None:
    mask = np.zeros((30, 30, 5), bool)
    mask[4:8, 4:10, 1:3] = True
    mask[20:25, 20:25, 2] = True
    volume = Case.of(Image(np.zeros((1, 30, 30, 5), np.float32), np.diag([1, 1, 3, 1])), {"lesion": mask})
    (one,) = labelled([volume], Structure.parse("lesion"))
    assert {number: len(several) for number, several in one.found.items()} == {1: 1, 2: 2} and one.count == 5
    assert one.spacing == 0 or one.spacing == 1
    for seed in range(5):
        planes = chosen_planes(one, 10, np.random.default_rng(seed))
        assert {1, 2} < set(planes) and len(planes) == 4  # as many without


def test_a_plane_is_looked_at_where_it_is_no_background() -> None:
    pixels, _ = picture(1)
    inside = body(pixels.astype(np.float32))
    assert inside[75, 47] and inside[75, 133] and not inside[2, 2] and not inside[75, 90]
    assert np.array_equal(body(255 - pixels.astype(np.float32)), inside)  # dark bodies too
    assert body(np.zeros((40, 40), np.float32)).all()


def test_small_irregularities_are_enlarged_and_nothing_is_reduced() -> None:
    assert Scale.of([12.0] * 5, [0.5] * 5) == Scale(0.125, 4.0, 48, (6.0, 7.5))
    large = Scale.of([200.0, 300.0], [0.0, 0.0])
    assert large.enlarged == 1 and large.pixel_mm == 0 and 290 < large.overlap <= 300
    image = Image(np.zeros((1, 50, 50), np.uint8), np.diag([0.05, 0.05, 1, 1]))
    assert Scale(0.5, 1.0).enlargement(image, 0.05) >= 0.8


def test_claims_13_to_15_a_detector_so_trained_detects_what_it_never_saw() -> None:
    model, look = detector()
    assert model.lineage.measures["validation_sensitivity_at_1"] >= 0.75
    assert model.lineage.measures["validation_auc"] >= 0.75
    assert len(model.trained_on) == 12 and model.spec.network["film_from"] > 0
    for number in (12, 13, 14):
        (one,) = found(number) if picture(number)[1] else labelled([case(number), case(1)], DISC)[:1]
        (scene,) = look.scenes(one.case.image, {})
        assert scene.enlarged > 1 and len(scene.segments) >= 2


def test_the_application_marks_a_picture(tmp_path: Path) -> None:
    model, _ = detector()
    folder = model.save(tmp_path / "model")
    hits = 0
    for number in (13, 14, 16, 17):
        pixels, (truth,) = picture(number)
        (tmp_path / str(number)).mkdir()
        Pillow.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"{number}.png")
        application = Detected(folder, "cpu", tmp_path / str(number))
        whole, *marks, last = application.analyze(formats.read(tmp_path / f"{number}.png"))
        assert whole.label == "any disc" and whole.map is not None and whole.map.exists()
        assert last.label == "segments" and last.mask is not None
        if not marks:
            assert whole.probability < model.spec.network["film_from"]
            continue
        assert whole.kind == MEASURE and whole.probability == marks[0].probability
        best = marks[0]
        assert best.kind == FINDING and best.region == "body" and best.box is not None and best.segment is not None
        assert best.segment.picture.exists() and np.asarray(Pillow.open(best.segment.picture)).shape == best.segment.shape
        heat = np.asarray(Pillow.open(whole.map))
        assert heat.shape == pixels.shape and heat[best.box.slices].max() == heat.max()
        middle = [(a + b) / 2 for a, b in zip(best.box.lower, best.box.upper, strict=True)]
        hits += all(lo <= at <= hi for at, lo, hi in zip(middle, truth.lower, truth.upper, strict=True))
    assert hits >= 3


class _Enough(Exception):
    pass


def test_an_interrupted_training_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = found(1, 2, 3)
    scale = Scale(0.0, 1.0, 30, (3.0, 8.0))
    look = RegionLook((), scale)
    plan = Plan("reduced", 2, settings=replace(QUICK.settings, steps=4, checkpoint_every=1))
    straight = train_irregularities(examples, "m", "disc", look, scale, plan)
    reported: list[int] = []

    def stop(step: int, total: int, loss: float) -> None:
        reported.append(step)
        if step == 6:
            raise _Enough

    with pytest.raises(_Enough):
        train_irregularities(examples, "m", "disc", look, scale, plan, kept=tmp_path, progress=stop)
    monkeypatch.setattr(learning, "rows_of", None)  # no window is made again
    reported.clear()
    again = train_irregularities(
        examples, "m", "disc", look, scale, plan, kept=tmp_path, progress=lambda step, total, loss: reported.append(step)
    )
    assert reported == [6, 7, 8]
    assert again.key == straight.key


def test_the_thresholds_leave_four_fifths_of_the_images_without_any_unmarked() -> None:
    without = [Measured(str(n), Outcome(np.zeros(0), np.array([n / 10])), n / 10) for n in range(10)]
    film_from, mark_from = thresholds(without)
    assert sum(one.highest < film_from for one in without) == 8 and mark_from <= film_from
    with_any = [Measured(str(n), Outcome(np.array([0.9]), np.array([0.1 * n, 0.05])), 0.9) for n in range(5)]
    film_from, _ = thresholds(with_any)
    assert sum((one.outcome.misses >= film_from).sum() for one in with_any) <= len(with_any)
    assert thresholds([]) == (0.5, 0.5)


def test_a_volume_is_marked_in_three_dimensions(tmp_path: Path) -> None:
    def volume(number: int) -> tuple[Image, np.ndarray]:
        rng = np.random.default_rng(number)
        rows, columns, slices = np.mgrid[:96, :96, :5]
        inside = np.hypot(rows - 48, columns - 48) < 44
        centre = rng.integers(34, 62, 2)
        mask = (np.hypot(rows - centre[0], columns - centre[1]) < 11) & (slices >= 1) & (slices <= 3)
        array = rng.normal(20, 3, rows.shape) + 40 * inside + 60 * mask
        return Image(array[None].astype(np.float32), np.diag([0.7, 0.7, 3.0, 1.0])), mask

    cases = [Case.of(image, {"lesion": mask}, name=str(n)) for n, (image, mask) in ((n, volume(n)) for n in range(3))]
    examples = labelled(cases, Structure.parse("lesion"))
    scale = Scale.of([size for one in examples for size in one.sizes], [one.spacing for one in examples for _ in one.sizes])
    assert scale.pixel_mm == pytest.approx(0.7 / scale.enlarged)
    look = RegionLook((), scale)
    model = train_irregularities(examples, "lesions", "lesion", look, scale, QUICK)
    model = replace(model, spec=replace(model.spec, network={**model.spec.network, "film_from": 0.0, "mark_from": 0.02}))
    image, mask = volume(9)
    (tmp_path / "maps").mkdir()
    whole, best, *_ = Detected(model.save(tmp_path / "model"), "cpu", tmp_path / "maps").analyze(image)
    assert best.box is not None and len(best.box.lower) == 3
    assert mask[best.box.slices].sum() > 0.5 * mask.sum() and best.measures["slice"] in (2, 3, 4)
    assert best.box.shape[2] >= 2 and whole.map is not None and best.segment is not None and best.segment.picture.exists()


def test_a_detector_of_regions_that_nobody_finds_says_what_it_needs(tmp_path: Path) -> None:
    model, _ = detector()
    odd = replace(model, spec=replace(model.spec, network={**model.spec.network, "regions": ["liver"]}))
    application = Detected(odd.save(tmp_path / "model"), "cpu")
    with pytest.raises(CasewiseError, match="region_model"):
        application.analyze(Image(picture(1)[0][None].astype(np.uint8)))


def test_a_detector_is_an_application_of_its_own(tmp_path: Path) -> None:
    model, _ = detector()
    declared = declared_for(model, tmp_path)
    assert declared.name == f"discs-{model.key[:6]}" and declared.detects == ("disc",) and declared.takes("anything")
    assert declared_for(model.renamed("3 Ärzte!"), tmp_path).name.startswith("detector-3-")
    with pytest.raises(CasewiseError, match="casewise analyze --model"):
        model.predict(Image(np.zeros((1, 64, 64), np.uint8)), "cpu")
    with pytest.raises(UsageError, match="--application irregularities"):
        declared_for(replace(model, spec=replace(model.spec, network={**model.spec.network, "cues": 8})), tmp_path)


def test_the_command_trains_registers_and_refuses(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.chdir(tmp_path)
    lines = ["image,boxes:disc,category,subject"]
    for number in range(6):
        pixels, boxes = picture(number)
        Pillow.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"{number}.png")
        texts = [",".join(f"{lo}:{hi}" for lo, hi in zip(box.lower, box.upper, strict=True)) for box in boxes]
        lines.append(f'{number}.png,"{";".join(texts)}",{"marked" if boxes else "normal"},s{number}')
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    assert call("import", "archive", tmp_path, "--manifest", "labels.csv").code == 0
    wrong = call("train", "irregularities", "archive", "--structure", "spot", "--output", "model")
    assert wrong.code == 2 and "No case has a box or a mask of spot; there are boxes of disc" in wrong.err
    wrong = call("train", "irregularities", "archive", "--structure", "disc", "--region", "lung", "--output", "model")
    assert wrong.code == 2 and "no mask of the region 'lung'" in wrong.err
    options = ("--steps", 2, "--members", 1, "--branch", "reduced", "--region", "body", "--json")
    done = call("train", "irregularities", "archive", "--structure", "disc", "--output", "model", *options)
    assert done.code == 0, done.err
    assert done.document["regions"] == ["body"] and 0 <= done.document["thresholds"]["film_from"] <= 1  # type: ignore[index]
    assert not (tmp_path / ".model.training").exists()
    with Archive.open(tmp_path / "archive") as opened:
        assert [entry["name"] for entry in opened.models()] == ["model"]
        assert Model.load(tmp_path / "model").trained_on <= {one.key for one in opened.cases()}
    wrong = call("analyze", "1.png", "--model", "model", "--archive", "archive", "--adapt", "similar")
    assert wrong.code == 2 and "is not adapted" in wrong.err
