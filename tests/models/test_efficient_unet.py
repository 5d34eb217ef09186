"""The U-Net on EfficientNet-Lite0's encoder: shapes, the pretrained encoder, how it is built and refused."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from casewise.case import Structure
from casewise.errors import ModelError
from casewise.models import Model, Preparation, Spec
from casewise.models.networks import build
from casewise.models.networks.efficient_net import EfficientNetLite
from casewise.models.networks.efficient_unet import EfficientUNet

SETTINGS = {"kind": "efficient_unet", "channels": [8, 8, 16, 16]}


@given(rows=st.integers(16, 75), columns=st.integers(16, 75), channels=st.sampled_from([1, 3]), outputs=st.integers(1, 4))
@settings(max_examples=12, deadline=None)
def test_logits_have_the_shape_of_the_picture(rows: int, columns: int, channels: int, outputs: int) -> None:
    network = build(SETTINGS, 2, channels, outputs).eval()
    with torch.inference_mode():
        assert network(torch.rand(2, channels, rows, columns)).shape == (2, outputs, rows, columns)


def test_the_encoder_sees_what_the_pretrained_one_sees() -> None:
    network = EfficientUNet(1, 2)
    network.encoder.pretrained()
    x = torch.rand(1, 1, 48, 64)
    with torch.inference_mode():
        own = network.encoder.levels_of(x)
        expected = EfficientNetLite(1, len(own)).pretrained().levels_of((x * 255 - 127) / 128)
    assert all(torch.allclose(one, other, atol=1e-4) for one, other in zip(own, expected, strict=True))


def test_a_model_of_it_has_a_latent_space() -> None:
    spec = Spec("segmentation", SETTINGS, Preparation(2, (64, 64)), (Structure.parse("lung"),))
    assert Model.initial("m", spec).encoder("cpu").dimension == 112 * 16


@pytest.mark.parametrize(("dims", "channels"), [(3, [8, 8, 16, 16]), (2, [8, 16, 16])])
def test_other_axes_and_levels_are_refused(dims: int, channels: list[int]) -> None:
    with pytest.raises(ModelError, match="channels for four levels"):
        build({"kind": "efficient_unet", "channels": channels}, dims, 1, 2)
