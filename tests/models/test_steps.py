"""The steps of foreign preparations: each beside MONAI's transform of the same purpose, there and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai import transforms
from monai.data import MetaTensor
from torch import Tensor

from casewise.errors import CasewiseError, ModelError
from casewise.image import Image
from casewise.models import Model, Spec
from casewise.models.foreign.config import Config, NotPlainError
from casewise.models.preparation import Preparation
from casewise.models.steps import (
    Centre,
    Extremes,
    Foreground,
    Normal,
    Pad,
    Range,
    Resize,
    Spacing,
    Step,
    prepare,
    steps_of,
    tables,
)
from casewise.training import Settings, fit
from tests.discs import disc_case

SHAPE, LENGTHS = (21, 17, 12), (1.2, 0.9, 2.5)
PAIRS: list[tuple[Step, Any]] = [
    (Range((-100.0, 300.0), (-1.0, 1.0)), transforms.ScaleIntensityRange(-100, 300, -1, 1, clip=True)),
    (Range((-100.0, 300.0), (0.0, 1.0), clip=False), transforms.ScaleIntensityRange(-100, 300, 0, 1)),
    (Range((-100.0, 300.0), (0.0, 1.0), clip=False), transforms.ScaleIntensityRange(-100, 300)),
    (Extremes(), transforms.ScaleIntensity()),
    (Extremes((-1.0, 2.0), by_channel=True), transforms.ScaleIntensity(-1, 2, channel_wise=True)),
    (Normal(), transforms.NormalizeIntensity()),
    (Normal(nonzero=True), transforms.NormalizeIntensity(nonzero=True)),
    (Normal(nonzero=True, by_channel=True), transforms.NormalizeIntensity(nonzero=True, channel_wise=True)),
    (
        Normal(by_channel=True, mean=(1.0, 2.0), deviation=(0.0, 4.0)),
        transforms.NormalizeIntensity([1, 2], [0, 4], channel_wise=True),
    ),
    (Spacing((1.5, 1.5, 2.0)), transforms.Spacing([1.5, 1.5, 2.0])),
    (Spacing((0.7, 0.9, 1.1)), transforms.Spacing([0.7, 0.9, 1.1], align_corners=True)),
    (Spacing((1.2, 0.9, 2.5)), transforms.Spacing([1.2, 0.9, 2.5])),
    (Resize((16, 20, 9), "linear"), transforms.Resize([16, 20, 9], mode="trilinear")),
    (Resize((16, 20, 9)), transforms.Resize([16, 20, 9])),
    (Resize(15, "linear"), transforms.Resize(15, size_mode="longest", mode="bilinear")),
    (Foreground(), transforms.CropForeground()),
    (Foreground(margin=3), transforms.CropForeground(margin=3, allow_smaller=True)),
    (Foreground(margin=3, within=False, divisible=8), transforms.CropForeground(margin=3, allow_smaller=False, k_divisible=8)),
    (Pad(size=(24, 8, 15)), transforms.SpatialPad([24, 8, 15])),
    (Pad(size=(24, 8, 15), end=True), transforms.SpatialPad([24, 8, 15], method="end")),
    (Pad(divisible=(8, 8, 8)), transforms.DivisiblePad(8)),
    (Centre((16, 20, 12)), transforms.ResizeWithPadOrCrop([16, 20, 12])),
    (Centre((18, 14, 9)), transforms.ResizeWithPadOrCrop([18, 14, 9])),
]
IDS = [f"{type(step).__name__}-{number}" for number, (step, _) in enumerate(PAIRS)]


def image() -> Tensor:
    """Two channels with exact zeros around what is above, as a skull-stripped brain has them."""
    x = torch.rand((2, *SHAPE), generator=torch.Generator().manual_seed(0)) * 500 - 100
    x[:, :3], x[:, :, -2:], x[:, :, :, :2] = 0, 0, 0
    return x


def meta(x: Tensor) -> MetaTensor:
    return MetaTensor(x.clone(), affine=torch.diag(torch.tensor([*LENGTHS, 1.0], dtype=torch.float64)))


@pytest.mark.parametrize(("step", "theirs"), PAIRS, ids=IDS)
def test_is_what_monais_transform_is(step: Step, theirs: Any) -> None:
    ours, _ = prepare((step,), image(), LENGTHS)
    wanted = theirs(meta(image())).as_tensor()
    assert ours.shape == wanted.shape
    assert torch.allclose(ours, wanted, atol=2e-5)


@pytest.mark.parametrize(("step", "theirs"), [pair for pair in PAIRS if hasattr(pair[0], "move")])
def test_comes_back_as_monais_inversion_does(step: Step, theirs: Any) -> None:
    _, (move,) = prepare((step,), image(), LENGTHS)
    moved = theirs(meta(image()))
    answer = torch.rand((3, *moved.shape[1:]), generator=torch.Generator().manual_seed(1))
    back = MetaTensor(answer.clone(), affine=moved.affine, applied_operations=moved.applied_operations)
    wanted = theirs.inverse(back).as_tensor()
    assert torch.allclose(move.back(answer, "linear", 0.0), wanted, atol=2e-5)


def test_background_surrounds_what_was_cut_away() -> None:
    _, (move,) = prepare((Foreground(),), image(), LENGTHS)
    answer = torch.zeros((2, *move.new))
    answer[1] = 1
    back = move.back(answer, "linear", 1.0)
    assert torch.equal(back.sum(dim=0), torch.ones(SHAPE))
    assert back[0, 0, 0, 0] == 1
    assert back[1, 10, 8, 8] == 1


def test_the_order_of_steps_counts() -> None:
    steps = (Spacing((2.0, 2.0, 2.0)), Normal(nonzero=True), Extremes((-1.0, 1.0)))
    theirs = transforms.Compose([
        transforms.Spacing([2, 2, 2]), transforms.NormalizeIntensity(nonzero=True), transforms.ScaleIntensity(-1, 1)
    ])  # fmt: skip
    ours, _ = prepare(steps, image(), LENGTHS)
    assert torch.allclose(ours, theirs(meta(image())).as_tensor(), atol=2e-5)
    assert not torch.allclose(ours, prepare((*steps[1:], steps[0]), image(), LENGTHS)[0], atol=1e-2)


def test_tables_lead_to_the_same_steps() -> None:
    steps = tuple(step for step, _ in PAIRS)
    assert steps_of(tables(steps)) == steps
    assert tables((Normal(),)) == ({"step": "normal"},)


@pytest.mark.parametrize(
    "steps",
    [
        ({"step": "nothing"},),
        ({"step": "range", "given": [1, 1]},),
        ({"step": "spacing", "mm": [1.0, 0.0, 1.0]},),
        ({"step": "spacing", "mm": [1.0, 1.0]},),
        ({"step": "resize", "size": [8, 8, 8], "mode": "cubic"},),
        ({"step": "pad"},),
        ({"step": "normal", "mean": [1.0, 2.0]},),
        ({"step": "centre", "size": [8, 8, 8], "fill": 1},),
    ],
)
def test_steps_that_are_none_get_a_sentence(steps: Any) -> None:
    with pytest.raises(ModelError, match="step"):
        Preparation(3, (16, 16, 16), intensity="none", steps=steps)


@pytest.mark.parametrize(
    "settings",
    [
        {"intensity": "minmax"},
        {"intensity": "none", "spacing": (1.0, 1.0)},
        {"intensity": "none", "overlap": 1.0},
        {"intensity": "none", "blending": "round"},
        {"intensity": "none", "padding": "wrap"},
        {"intensity": "none", "restored": "cubic"},
    ],
)
def test_settings_that_contradict_steps_get_a_sentence(settings: dict[str, Any]) -> None:
    with pytest.raises(ModelError):
        Preparation(2, (16, 16), steps=(Extremes(),), **settings)


def test_an_empty_image_and_a_wrong_count_of_channels_get_a_sentence() -> None:
    preparation = Preparation(3, (8, 8, 8), intensity="none", steps=(Foreground(),), overlap=0.5)
    with pytest.raises(CasewiseError, match="brighter"):
        preparation.parts(Image(np.zeros((1, 9, 9, 9), np.float32)))[0].tensor()
    preparation = Preparation(3, (8, 8, 8), intensity="none", steps=(Normal(by_channel=True, mean=(1.0, 2.0)),), overlap=0.5)
    with pytest.raises(CasewiseError, match="2 numbers for 1 channels"):
        preparation.parts(Image(np.zeros((1, 9, 9, 9), np.float32)))


def test_what_is_written_of_a_preparation_without_steps_has_not_changed() -> None:
    """A model's key is made of it."""
    assert Preparation().to_toml() == {"spatial_dims": 2, "size": (128, 128), "channels": 1, "intensity": "percentile"}
    spaced = Preparation(3, (8, 8, 8), intensity="window", window=(0.0, 1.0), spacing=(1.0, 1.0, 1.0), axes="RAS")
    assert list(spaced.to_toml()) == ["spatial_dims", "size", "channels", "intensity", "window", "spacing", "axes"]


def test_windows_on_the_images_own_grid_see_it_as_it_is() -> None:
    preparation = Preparation(3, (8, 8, 8), intensity="none", overlap=0.5, axes="RAS")
    x = np.random.default_rng(0).random((1, 13, 9, 10)).astype(np.float32)
    (part,) = preparation.parts(Image(x, np.diag([2.0, 3.0, 4.0, 1.0])))
    assert np.array_equal(part.tensor().numpy(), x)
    assert np.array_equal(part.restore(torch.from_numpy(x)), x)


@pytest.mark.parametrize(("shape", "size"), [((20, 30), (16, 24)), ((14, 18, 6), (16, 16)), ((14, 18, 20), (16, 16, 16))])
def test_a_model_with_steps_is_trained_and_kept(tmp_path: Path, shape: tuple[int, ...], size: tuple[int, ...]) -> None:
    steps: tuple[Step, ...] = (
        (Extremes(), Resize(size, "linear")) if len(size) == 2 else (Spacing((1.5, 1.0, 1.0)), Normal(), Foreground())
    )
    preparation = Preparation(len(size), size, intensity="none", steps=steps, overlap=None if len(size) == 2 else 0.5)
    case = disc_case(1, shape)
    spec = Spec("segmentation", {"kind": "unet", "channels": (4, 8)}, preparation, structures=case_structures())
    model = Model.initial("m", spec)
    refined = fit(model, [case, disc_case(2, shape)], settings=Settings(steps=2, batch=2, device="cpu"))
    again = Model.load(refined.save(tmp_path / "kept"))
    assert again.key == refined.key
    answer = again.predict(case.image, device="cpu").probabilities
    assert answer.shape == (2, *shape)
    assert np.allclose(answer.sum(axis=0), 1, atol=1e-5)


def case_structures() -> Any:
    from casewise.case import Structure

    return (Structure.parse("disc"),)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$@sizes", [1, 2, 3]),
        ("$@sizes ", [1, 2, 3]),
        ("$len(@sizes)", 3),
        ("$len(@names)", 2),
        ("$[1.5, 2] if @yes else [3]", [1.5, 2]),
        ("$'a.pt' if @group#no else 'b.pt'", "b.pt"),
    ],
)
def test_expressions_that_are_known_by_their_text(text: str, value: Any) -> None:
    config = Config({"sizes": [1, 2, 3], "names": {"a": 0, "b": 1}, "yes": True, "group": {"no": False}}, Path("c.json"))
    assert config.plain(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "$@sizes.append(4)", "$@sizes[0]", "$len(@sizes) + 1", "$len(@text)", "$len('a')", "$[1] if @sizes else [2]",
        "$[__import__('os')] if @yes else [2]", "$'a' if @yes else open('b')", "$@sizes if @yes else @sizes", "$(@sizes)",
        "$[1, 2", "$@sizes\n@yes", "$[9**9] if @yes else [1]",
    ],
)  # fmt: skip
def test_every_other_expression_is_refused(text: str) -> None:
    config = Config({"sizes": [1, 2, 3], "yes": True, "text": "abc"}, Path("c.json"))
    with pytest.raises(NotPlainError, match="never executes"):
        config.plain(text)


def test_expressions_that_lead_to_themselves_end() -> None:
    config = Config({"a": "$@b", "b": "$@a", "c": "$len(@c)"}, Path("c.json"))
    with pytest.raises(NotPlainError, match="circle"):
        config.plain("@a")
    with pytest.raises(NotPlainError, match="circle"):
        config.plain("@c")
