"""Batch normalisation keeps its statistics while a model is refined: a few steps on a few alike cases would spoil them."""

from __future__ import annotations

import json

import torch
from torch import nn

from casewise.case import Structure
from casewise.models import Model, Preparation, Spec
from casewise.training import Settings, fit
from casewise.training.fit import _train_mode
from tests.discs import disc_case


def batch_normed() -> Model:
    arguments = {"spatial_dims": 2, "in_channels": 1, "out_channels": 2, "channels": [4, 8], "strides": [2], "norm": "batch"}
    network = {"kind": "monai", "name": "UNet", "arguments": json.dumps(arguments)}
    return Model.initial("bn", Spec("segmentation", network, Preparation(2, (32, 32)), structures=(Structure.parse("disc"),)))


def test_refining_leaves_running_statistics_as_they_were() -> None:
    model = batch_normed()
    kept = ("running_mean", "running_var", "num_batches_tracked")
    statistics = [name for name in model.weights if name.rpartition(".")[2] in kept]
    assert statistics
    cases = [disc_case(seed) for seed in range(3)]
    refined = fit(model, cases, settings=Settings(steps=4, batch=2, device="cpu", augmentation="none"), validation=cases[:1])
    assert all(torch.equal(model.weights[name], refined.weights[name]) for name in statistics)
    changed = [name for name in model.weights if not torch.equal(model.weights[name], refined.weights[name])]
    assert changed and not set(changed) & set(statistics)


def test_everything_else_is_in_training_mode_scripted_networks_as_well() -> None:
    plain = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.BatchNorm2d(4))
    for network in (plain, torch.jit.script(plain)):
        network.eval()
        _train_mode(network)
        modes = [module.training for module in network.children()]
        assert modes == [True, False, True, False]
