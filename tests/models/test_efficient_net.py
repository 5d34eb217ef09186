"""The pretrained encoder: its levels, its weights for grey pictures, and batch norms folded into convolutions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from casewise.models.networks.efficient_net import STAGES, Convolution, EfficientNetLite


@settings(max_examples=10, deadline=None)
@given(st.integers(20, 90), st.integers(20, 90), st.integers(1, len(STAGES)))
def test_every_level_has_its_stages_channels_and_reduction_rounded_up(rows: int, columns: int, stages: int) -> None:
    with torch.inference_mode():
        levels = EfficientNetLite(1, stages).levels_of(torch.zeros(1, 1, rows, columns))
    assert [tuple(level.shape[1:]) for level in levels] == [
        (stage.channels, -(-rows // stage.reduction), -(-columns // stage.reduction)) for stage in STAGES[:stages]
    ]


@pytest.mark.parametrize("channels", [1, 2])
def test_a_grey_picture_is_seen_as_its_copies_in_red_green_and_blue_are(channels: int) -> None:
    picture = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.inference_mode():
        coloured = EfficientNetLite(3).pretrained()(picture.repeat(1, 3, 1, 1))
        grey = EfficientNetLite(channels).pretrained()(picture.repeat(1, channels, 1, 1))
    assert coloured.std() > 0.1
    torch.testing.assert_close(grey, coloured, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("size", "stride"), [(7, 2), (8, 2), (9, 1)])
def test_padding_is_tensorflows(size: int, stride: int) -> None:
    layer = Convolution(1, 1, 3, stride, clipped=False)
    x = torch.rand(1, 1, size, size)
    before = (max((-(-size // stride) - 1) * stride + 3 - size, 0)) // 2
    padded = functional.pad(x, (before, 2, before, 2))
    expected = functional.conv2d(padded, layer.weight, layer.bias, stride)[..., : -(-size // stride), : -(-size // stride)]
    torch.testing.assert_close(layer(x), expected)


def test_a_recipe_folds_batch_norms_without_changing_what_is_computed() -> None:
    from recipes.backbone import EPSILON, _folded

    torch.manual_seed(0)
    convolution, norm = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4, eps=EPSILON).eval()
    for name in ("weight", "bias", "running_mean"):
        nn.init.normal_(getattr(norm, name))
    norm.running_var.uniform_(0.5, 2)
    state = {f"c.{k}": v for k, v in convolution.state_dict().items()} | {f"b.{k}": v for k, v in norm.state_dict().items()}
    folded = _folded(state, "x", "c", "b")
    x = torch.rand(2, 3, 9, 9)
    torch.testing.assert_close(functional.conv2d(x, folded["x.weight"], folded["x.bias"]), norm(convolution(x)))
