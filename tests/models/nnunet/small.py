"""A small folder as nnU-Net writes it, of random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from casewise.models.planned.network import aliases, build_planned

CONFIGURATION: dict[str, Any] = {
    "patch_size": [16, 16, 16],
    "spacing": [1.0, 1.0, 1.0],
    "batch_size": 2,
    "normalization_schemes": ["ZScoreNormalization"],
    "use_mask_for_norm": [False],
    "preprocessor_name": "DefaultPreprocessor",
    "architecture": {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": 2,
            "features_per_stage": [4, 8],
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[3, 3, 3], [3, 3, 3]],
            "strides": [[1, 1, 1], [2, 2, 2]],
            "n_conv_per_stage": [1, 1],
            "n_conv_per_stage_decoder": [1],
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    },
}
PLANS: dict[str, Any] = {
    "dataset_name": "Dataset007_Small",
    "plans_name": "nnUNetPlans",
    "image_reader_writer": "SimpleITKIO",
    "transpose_forward": [0, 1, 2],
    "transpose_backward": [0, 1, 2],
    "configurations": {"3d_fullres": CONFIGURATION, "3d_lowres": {"inherits_from": "3d_fullres"}},
    "foreground_intensity_properties_per_channel": {"0": {"mean": 1.0, "std": 2.0}},
}
FLAT: dict[str, Any] = {  # of slices
    **CONFIGURATION,
    "patch_size": [16, 16],
    "spacing": [1.0, 1.0],
    "architecture": {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            **CONFIGURATION["architecture"]["arch_kwargs"],
            "conv_op": "torch.nn.modules.conv.Conv2d",
            "kernel_sizes": [[3, 3], [3, 3]],
            "strides": [[1, 1], [2, 2]],
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm2d",
        },
    },
}
DATASET: dict[str, Any] = {"channel_names": {"0": "MRI"}, "labels": {"background": 0, "organ": 1}, "file_ending": ".nii.gz"}


def written(
    root: Path, plans: dict[str, Any] = PLANS, dataset: dict[str, Any] = DATASET, weighted_for: Any = None, **checkpoint: Any
) -> Path:
    """A folder as nnU-Net writes it, of random weights."""
    folder = root / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    (folder / "fold_0").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    torch.manual_seed(0)
    own = weighted_for or (PLANS, DATASET)  # plans and labels of the network whose weights are written
    settings = {"plans": json.dumps(own[0]), "dataset": json.dumps(own[1])} | {"configuration": "3d_fullres", "folds": ["0"]}
    network = build_planned(settings)
    for name, value in network.state_dict().items():
        if "seg_layers" in name:  # so that structures and background both come out: logits around 0, of opposite signs
            row = torch.randn_like(value[:1])
            signs = torch.linspace(-1, 1, len(value)).view(-1, *[1] * (value.ndim - 1))
            value.copy_(signs * (row - row.mean()) if name.endswith("weight") else torch.zeros_like(value))
    weights = {name.removeprefix("members.0."): value for name, value in network.state_dict().items()}
    found = {
        "network_weights": aliases(settings, weights),
        "trainer_name": "nnUNetTrainer",
        "init_args": {"configuration": "3d_fullres"},
        "inference_allowed_mirroring_axes": tuple(range(len(own[0]["configurations"]["3d_fullres"]["patch_size"]))),
    }
    torch.save(found | checkpoint, folder / "fold_0" / "checkpoint_final.pth")
    return folder
