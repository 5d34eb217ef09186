"""The planes of a volume in the network: what they tell each other, and how they are answered fast."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from casewise.case import Structure
from casewise.image import Box, Image
from casewise.interaction import FineTuning, InteractiveSegmentation
from casewise.interaction.crop import Region
from casewise.interaction.predictor import Predictor
from casewise.interaction.prompt_maps import SLACK, PromptMaps
from casewise.models import Model, Preparation, Spec
from casewise.models.networks import prompt_unet
from casewise.models.networks.prompt_unet import PromptUNet
from casewise.models.networks.prompts import OF_VOLUMES, PROMPTS, prompts_of
from recipes.interactive_3d import begun
from tests.interaction.conftest import ball_volume

INPUTS = 8
OBJECT = Structure.parse("object")
SETTINGS = {"kind": "prompt_unet", "channels": [4, 8, 8], "prompts": list(PROMPTS)}


def network(seed: int = 0, mixing: float = 0.1, reach: int = 1) -> PromptUNet:
    torch.manual_seed(seed)
    made = PromptUNet(3, 1, 2, (4, 8, 8), reach=reach)
    for name, parameter in made.named_parameters():
        if mixing and "through" in name:
            torch.nn.init.normal_(parameter, 0.0, mixing)
    return made.eval()


def planes_of(x: torch.Tensor, made: PromptUNet) -> torch.Tensor:
    """Each plane answered as a volume of its own."""
    return torch.cat([made(x[..., place : place + 1]) for place in range(x.shape[-1])], dim=-1)


def test_planes_know_nothing_of_each_other_until_that_is_learnt() -> None:
    x = torch.rand(2, INPUTS, 16, 16, 11)
    with torch.inference_mode():
        untrained, trained = network(mixing=0), network()
        assert torch.allclose(untrained(x), planes_of(x, untrained), atol=1e-5)
        assert not torch.allclose(trained(x), planes_of(x, trained), atol=1e-3)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 21), st.integers(1, 9), st.integers(0, 1000))
def test_how_many_planes_go_at_once_changes_nothing(planes: int, at_once: int, seed: int) -> None:
    x = torch.rand(2, INPUTS, 8, 8, planes, generator=torch.Generator().manual_seed(seed))
    made = network(seed)
    with torch.inference_mode(), pytest.MonkeyPatch.context() as patched:
        patched.setattr(prompt_unet, "_AT_ONCE", at_once)
        found = made(x)
    with torch.no_grad():
        assert torch.allclose(found, made.train()(x), atol=1e-5), "nor whether it is trained"


@pytest.mark.parametrize("reach", [1, 2])
def test_what_one_plane_shows_reaches_those_beside_it_and_no_farther_than_the_levels_carry_it(reach: int) -> None:
    made = network(reach=reach)
    x = torch.rand(1, INPUTS, 8, 8, 21)
    changed = x.clone()
    changed[..., 10] += 1
    with torch.inference_mode():
        moved = (made(changed) - made(x)).abs().amax(dim=(0, 1, 2, 3))
    far = 3 * reach  # three levels mix planes: two on the way down, one on the way up
    assert (moved[10 - far : 11 + far] > 1e-7).all()
    assert (moved[: 10 - far] == 0).all() and (moved[11 + far :] == 0).all()


@pytest.mark.parametrize("dims", [2, 3])
def test_a_training_begins_with_the_answers_of_the_model_that_it_goes_on_from(dims: int) -> None:
    spec = Spec("segmentation", SETTINGS, Preparation(dims, (32,) * dims), structures=(OBJECT,))
    former = Model.initial("former", spec)
    weights = {name: torch.randn_like(tensor) * 0.1 if "through" in name else tensor for name, tensor in former.weights.items()}
    former = Model("former", spec, weights, former.lineage)
    begun_with = begun(former)
    assert prompts_of(begun_with.spec.network) == (*PROMPTS[:-1], *OF_VOLUMES, "distances")
    x = torch.rand(1, 2 + len(PROMPTS), 16, 16, 5)
    known = torch.cat([x[:, :-2], x[:, -1:]], dim=1)
    with torch.inference_mode():
        found, old = begun_with.network()(x), former.network()
        expected = old(known) if dims == 3 else torch.stack([old(known[..., n]) for n in range(5)], dim=-1)
    assert torch.allclose(found, expected, atol=1e-5)
    assert begun(begun_with).key == begun_with.key


def test_the_slack_of_a_box_across_the_planes_grows_from_its_first_and_last_plane() -> None:
    image = Image(np.zeros((1, 40, 40, 40), np.float32))
    region = Region.around(image, Box((8, 8, 8), (32, 32, 32)), (64, 64, 64))
    maps = PromptMaps.of(region.crop(image)[None], region.inside()[None], region.spacing, scale=region.scale)
    inside = maps.box[0].any(axis=(0, 1))
    along = maps.slack_through[0][32, 32, inside]
    assert np.allclose(maps.slack_through[0][maps.box[0].any(axis=2)], maps.slack_through[0][32, 32])
    assert np.allclose(along[:5], (np.arange(5) + 0.5) / SLACK[3]) and np.allclose(along, along[::-1]) and along.max() == 1
    assert not maps.slack_through[0][..., ~inside].any()
    picture = PromptMaps.of(np.zeros((1, 1, 16, 16), np.float32), np.ones((1, 16, 16), bool))
    assert (picture.slack_through == 1).all()


def volumes_model() -> Model:
    spec = Spec(
        "segmentation",
        {"kind": "prompt_unet", "channels": [4, 8]},
        Preparation(3, (32, 32, 32)),
        structures=(Structure.parse("object"),),
    )
    return Model.initial("untrained", spec)


def test_where_the_processor_has_bfloat16_a_volume_is_answered_alike_and_the_same_each_time(monkeypatch) -> None:
    image, _ = ball_volume()
    region = Region.around(image, Box((8, 6, 3), (42, 40, 15)), (32, 32, 32))
    maps = PromptMaps.of(region.crop(image)[None], region.inside()[None], region.spacing, scale=region.scale)
    nothing = np.zeros(region.grid, np.float32)
    answers = []
    for fast in (False, True, True):
        monkeypatch.setattr("casewise.interaction.predictor.computes_in_bfloat16", lambda fast=fast: fast)
        answers.append(Predictor(volumes_model(), "cpu", FineTuning(), best=False).logits(maps, nothing))
    exact, first, again = answers
    assert np.array_equal(first, again)
    assert not np.array_equal(exact, first) and np.abs(exact - first).max() < 0.1
    assert ((exact > 0) == (first > 0)).mean() > 0.995


def test_a_head_that_is_tuned_is_given_features_of_full_precision(monkeypatch) -> None:
    monkeypatch.setattr("casewise.interaction.predictor.computes_in_bfloat16", lambda: True)
    image, _ = ball_volume()
    session = InteractiveSegmentation(
        volumes_model(), image, [(8, 42), (6, 40), (3, 15)], fine_tuning=FineTuning(supervised=True, rate=1e-2), device="cpu"
    )
    session.add_scribbles([[25, 23, 9]], [[9, 7, 4]])
    assert session.mask[25, 23, 9] and not session.mask[9, 7, 4]


def test_only_a_few_planes_beyond_a_box_are_looked_at() -> None:
    image = Image(np.zeros((1, 80, 80, 80), np.float32))
    region = Region.around(image, Box((20, 20, 20), (60, 60, 60)), (64, 64, 64))
    assert region.window == (54, 54, 46)


@pytest.mark.parametrize(("side", "pixels"), [(40, 64), (71, 80), (96, 96), (140, 96)])
def test_a_larger_window_of_a_volume_is_given_a_finer_grid(side: int, pixels: int) -> None:
    image = Image(np.zeros((1, 160, 160, 30), np.float32))
    region = Region.around(image, Box((0, 0, 5), (side, side, 25)), (64, 64, 64))
    assert region.grid[:2] == (pixels, pixels)
