"""A folder of TotalSegmentator's weights: its tasks, some of their structures, and what gets a sentence instead."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, zoom

from casewise.adaptation.adapter import Adapter
from casewise.adaptation.refinement import Plan
from casewise.case import Case
from casewise.errors import ModelError, UsageError
from casewise.image import Image
from casewise.label_map import LabelMap, Numbered
from casewise.models import Model
from casewise.models.export import export
from casewise.models.planned.canonical import Canonical, nearest
from casewise.models.planned.totalsegmentator import table
from casewise.models.planned.windows import slide, slide_winners
from casewise.training.fit import fit
from casewise.training.initial import train_segmenter
from casewise.training.metrics import measure
from casewise.training.settings import Settings
from tests.models.nnunet.test_hostile import Runs
from tests.models.nnunet.total import answered, model, written


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("total") / "results", "total_mr")


def volume(seed: int = 0, spacing: tuple[float, float, float] = (1.2, 1.9, 3.1)) -> Image:
    smooth = gaussian_filter(np.random.default_rng(seed).normal(size=(36, 30, 14)), 2.0)
    affine = np.diag([-spacing[0], spacing[1], spacing[2], 1.0])
    return Image((smooth / smooth.std() * 300 - 100).astype(np.float32)[None], affine)


def test_a_task_answers_all_its_structures_or_some(results: Path) -> None:
    whole = Model.load(f"{results}#total_mr")
    assert whole.labels == table().tasks["total_mr"].structures and whole.labels[0] == "spleen"
    image = volume()
    prediction = whole.predict(image, device="cpu")
    masks = prediction.masks()
    assert tuple(masks) == whole.labels
    there = [name for name in whole.labels if masks[name].any()]
    assert sorted(there) == sorted([*answered(850), *answered(851)])
    some = Model.load(f"{results}#total_mr:{answered(851)[0]},spleen,{answered(850)[1]}")
    assert set(some.labels) == {answered(851)[0], "spleen", answered(850)[1]} and some.key != whole.key
    for name, mask in some.predict(image, device="cpu").masks().items():
        assert np.array_equal(mask, masks[name])


def test_only_models_that_answer_what_is_wanted_are_read(results: Path, tmp_path: Path) -> None:
    written(tmp_path / "one", "total_mr", left_out=(850,))
    with pytest.raises(ModelError, match="needs Dataset850_TotalSegMRI_part1_organs_1088subj"):
        Model.load(f"{tmp_path / 'one'}#total_mr")
    alone = Model.load(f"{tmp_path / 'one'}#total_mr:{answered(851)[0]}")
    assert len(alone.spec.network["parts"]) == 1
    both, image = Model.load(f"{results}#total_mr"), volume()
    mask = alone.predict(image, device="cpu").masks()[answered(851)[0]]  # no other model's answer lies above it
    assert np.array_equal(mask, both.predict(image, device="cpu").masks()[answered(851)[0]])


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ("#totale", "has no task 'totale'; casewise reads total"),
        ("#total_mr:splen", "no structure 'splen'; it has spleen"),
        ("#lung_vessels", "does not read TotalSegmentator's task lung_vessels: .* cuts the image"),
        ("#total", "needs Dataset291_.* and Dataset295_"),
        ("", "name a task of it, such as '.*#total' .here: total_mr"),
        ("/none#total", "There is no folder"),
    ],
)
def test_what_is_not_there_gets_a_sentence(results: Path, asked: str, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        Model.load(f"{results}{asked}")


def test_a_damaged_model_gets_a_sentence_and_nothing_of_it_runs(results: Path, tmp_path: Path) -> None:
    shutil.copytree(results, tmp_path / "results")
    (file,) = (tmp_path / "results").glob("Dataset851*/*/fold_0/checkpoint_final.pth")
    content = file.read_bytes()
    for damaged in (content[: len(content) // 2], pickle.dumps(Runs(tmp_path / "ran"))):
        file.write_bytes(damaged)
        with pytest.raises(ModelError, match="is damaged"):
            Model.load(f"{tmp_path / 'results'}#total_mr")
    assert not (tmp_path / "ran").exists()
    file.unlink()
    with pytest.raises(ModelError, match="left no fold with a checkpoint"):
        Model.load(f"{tmp_path / 'results'}#total_mr")


def test_weights_of_fewer_structures_than_the_task_has_are_refused(tmp_path: Path) -> None:
    folder = model(tmp_path / "results", 851)
    shutil.copytree(model(tmp_path / "other", 343), tmp_path / "again" / folder.parent.name / folder.name)
    with pytest.raises(ModelError, match="answers 4 structures, and TotalSegmentator's has 21"):
        Model.load(tmp_path / "again" / folder.parent.name)


def test_a_task_is_saved_and_is_the_same_again(results: Path, tmp_path: Path) -> None:
    whole, image = Model.load(f"{results}#total_mr:spleen,{answered(850)[0]}"), volume()
    again = Model.load(whole.save(tmp_path / "saved"))
    assert again.key == whole.key and again.labels == whole.labels
    assert np.array_equal(again.predict(image, device="cpu").mask, whole.predict(image, device="cpu").mask)


def test_a_task_is_not_trained_as_a_whole(results: Path, tmp_path: Path) -> None:
    whole = Model.load(f"{results}#total_mr")
    sentence = "joins several models and is not trained as a whole; name the folder of one of them .Dataset850"
    case = Case.of(volume(), {"spleen": volume().array[0] > 0})
    with pytest.raises(UsageError, match=sentence):
        train_segmenter([case], (), "mine", parent=whole)
    with pytest.raises(UsageError, match=sentence):
        fit(whole, [case])
    with pytest.raises(UsageError, match=sentence):
        Adapter(whole, object(), "similar", Plan(), "cpu")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="neither trained nor exported as a whole"):
        export(whole, "nnunet", tmp_path)


@pytest.mark.parametrize("name", ["#total_mr", "/Dataset850_TotalSegMRI_part1_organs_1088subj"])
def test_the_answer_does_not_depend_on_how_the_volume_is_stored(results: Path, name: str) -> None:
    image, loaded = volume(), Model.load(f"{results}{name}")
    masks = loaded.predict(image, device="cpu").masks()
    turned = loaded.predict(image.reorient("PIR"), device="cpu").masks()
    for label in answered(850):
        assert masks[label].any() and np.array_equal(turned.reorient("LAS")[label], masks[label])


def test_one_model_is_refined_in_its_own_preparation_and_goes_back(results: Path, tmp_path: Path) -> None:
    part = Model.load(results / table().models["850"].folder)
    assert part.labels == table().models["850"].structures
    images = [volume(seed, spacing) for seed, spacing in enumerate([(1.2, 1.9, 3.1), (2.2, 0.9, 1.6)])]
    high, low = answered(850)
    cases = [
        Case.of(image, {high: image.array[0] > 100, low: image.array[0] < -300}, name=f"{n}") for n, image in enumerate(images)
    ]
    settings = Settings(steps=25, batch=2, rate=5e-3, augmentation="none", device="cpu", partial=True)
    refined = fit(part, cases, settings=settings)
    assert measure(refined, cases, partial=True)["soft_dice"] > measure(part, cases, partial=True)["soft_dice"] + 0.05
    saved = Model.load(refined.save(tmp_path / "refined"))
    assert saved.key == refined.key
    place = export(saved, "nnunet", tmp_path / "back")
    assert place.parts[-2:] == (table().models["850"].folder, table().models["850"].trained)
    shutil.copytree(results / table().models["851"].folder, tmp_path / "back" / table().models["851"].folder)
    task, image = Model.load(f"{tmp_path / 'back'}#total_mr:{high}"), images[1]
    mine = saved.predict(image, device="cpu").masks()[high]
    assert mine.any() and np.array_equal(task.predict(image, device="cpu").masks()[high], mine)


def test_mirroring_stays_in_what_is_written_and_is_never_used(tmp_path: Path) -> None:
    part = Model.load(model(tmp_path / "results", 299))
    assert part.spec.network["mirroring"] == [0, 1, 2] and part.spec.preparation.own.mirrored == ()  # type: ignore[attr-defined]
    place = export(part, "nnunet", tmp_path / "back")
    found = torch.load(place / "fold_0" / "checkpoint_final.pth", weights_only=True)
    assert found["inference_allowed_mirroring_axes"] == (0, 1, 2)


def test_only_the_folds_that_totalsegmentator_uses_answer(tmp_path: Path) -> None:
    folder = model(tmp_path, 299)
    shutil.copytree(folder / "fold_0", folder / "fold_1")
    assert Model.load(folder).spec.network["folds"] == ["0"]


def test_weights_that_are_not_free_for_every_use_say_so(tmp_path: Path) -> None:
    model(tmp_path, 304)
    for name in (f"{tmp_path}#appendicular_bones", tmp_path / table().models["304"].folder):
        (data,) = Model.load(name).lineage.training_data
        assert data.research_only and "appendicular_bones" in data.name
    assert not Model.load(model(tmp_path, 300)).lineage.training_data


@given(st.integers(1, 40), st.integers(1, 90))
def test_the_nearest_voxel_is_scipys(held: int, wanted: int) -> None:
    numbers = np.arange(held, dtype=np.uint8)
    theirs = zoom(numbers, wanted / held, order=0, mode="nearest")
    if len(theirs) == wanted:  # it rounds the product
        assert np.array_equal(nearest(numbers, [wanted]), theirs)


def test_whole_numbers_are_cut_off_and_voxels_of_the_right_length_are_left() -> None:
    given, axes = np.array([[[[0.0, -4.0, 7.0]]]], np.float32), (0, 1, 2)
    same = Canonical(spacing=(1.5, 1.5, 1.5)).bring(given + 0.4, (1.5, 1.5, 1.5), axes)
    assert np.array_equal(same, given + np.float32(0.4))
    finer = Canonical(spacing=(1.0, 1.5, 1.5)).bring(given, (1.5, 1.5, 1.5), axes)
    assert finer.tolist() == [[[[0, -2, 0, 7]]]]  # of 0, −2.7, −0.3 and 7


@given(st.integers(16, 40), st.sampled_from([0.5, 0.8, 1.0]))
def test_winners_are_those_of_all_logits(length: int, step: float) -> None:
    x = torch.from_numpy(np.random.default_rng(length).normal(size=(1, 1, length, 16, 18)).astype(np.float32))

    def network(part: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.zeros_like(part), part - part.mean(), part.flip(2)], dim=1)

    logits = slide(network, x, (16, 16, 16), step=step)[0]
    winners, chances = slide_winners(network, x, (16, 16, 16), step)
    assert np.array_equal(winners, logits.argmax(dim=0).numpy())
    assert np.allclose(chances, logits.softmax(dim=0).max(dim=0).values.numpy(), atol=1e-6)


@given(st.integers(0, 99), st.integers(1, 6))
def test_a_numbers_mask_is_where_it_is(seed: int, kinds: int) -> None:
    numbers = np.random.default_rng(seed).integers(0, kinds, (4, 3, 5)).astype(np.uint8)
    names = tuple("abcdef")
    masks = LabelMap(Numbered(numbers, names))
    assert all(np.array_equal(masks[name], numbers == number) for number, name in enumerate(names, start=1))
    assert np.array_equal(masks.labels(), numbers)


def test_masks_of_many_structures_are_made_when_they_are_asked_for(results: Path) -> None:
    masks = Model.load(f"{results}#total_mr").predict(volume(), device="cpu").masks()
    name, other = answered(850)
    joined = masks | {name: np.zeros(masks.spatial_shape, bool), "mine": masks[other]}
    assert isinstance(joined, LabelMap) and tuple(joined) == (*masks, "mine")
    assert not joined[name].any() and np.array_equal(joined["mine"], masks[other]) and masks[name].any()
    with pytest.raises(KeyError):
        masks["none"]
