"""A folder of weights as TotalSegmentator has it, of small networks with random weights that answer a task's structures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from casewise.models.planned.network import aliases, build_planned
from casewise.models.planned.totalsegmentator import table
from tests.models.nnunet.small import CONFIGURATION, PLANS

_RESAMPLED = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}


def written(results: Path, task: str, *, spacing: tuple[float, ...] | None = None, left_out: tuple[int, ...] = ()) -> Path:
    """``results`` with the models of ``task``. spacing : of their plans, (S, A, R) mm; None: the task's. left_out : not written."""
    for number in table().tasks[task].models:
        if number not in left_out:
            model(results, number, spacing)
    return results


def answered(number: int) -> tuple[str, str]:
    """The two structures that a model answers of all that it could."""
    names = table().models[str(number)].structures
    return names[number % len(names)], names[(number + 5) % len(names)]


def _answering_two(network: nn.Module, numbers: list[int]) -> None:
    """Two structures and background, as the same number is high, low, or neither; where two are as probable, logits are 0.

    nnU-Net keeps logits in half precision, so that other ones would not say which of two is larger.
    """
    weight, bias = (network.get_submodule("decoder.seg_layers.0").get_parameter(name) for name in ("weight", "bias"))
    direction = torch.randn_like(weight[0])
    direction -= direction.mean()
    high, low = numbers
    with torch.no_grad():
        weight.zero_()
        weight[high], weight[low] = direction, -direction
        bias.fill_(-100.0)
        bias[0], bias[high], bias[low] = 0.0, -0.2, -0.2


def model(results: Path, number: int, spacing: tuple[float, ...] | None = None) -> Path:
    """The folder of one model's trained configuration."""
    known = table().models[str(number)]
    folder = results / known.folder / known.trained
    trainer, _, configuration = known.trained.split("__")
    own: dict[str, Any] = {
        **CONFIGURATION,
        "patch_size": [16, 24, 16],
        "spacing": list(spacing or reversed(known.spacing or (1, 1, 1))),
    }
    own |= {"normalization_schemes": ["CTNormalization"], "batch_dice": False}
    for what, way in (("data", {}), ("seg", {"is_seg": True, "order": 1}), ("probabilities", {"order": 1})):
        own |= {f"resampling_fn_{what}": "resample_data_or_seg_to_shape", f"resampling_fn_{what}_kwargs": _RESAMPLED | way}
    figures = {"0": {"mean": 20.0, "std": 200.0, "percentile_00_5": -900.0, "percentile_99_5": 900.0}}
    plans = {
        **PLANS,
        "dataset_name": known.folder,
        "configurations": {configuration: own},
        "foreground_intensity_properties_per_channel": figures,
    }
    labels = {"background": 0} | {name: place for place, name in enumerate(known.structures, start=1)}
    dataset = {"channel_names": {"0": "CT"}, "labels": labels, "file_ending": ".nii.gz"}
    folds = [f"{fold}" for fold in known.folds or (0,)]
    settings = {"plans": json.dumps(plans), "dataset": json.dumps(dataset), "configuration": configuration, "folds": folds}
    torch.manual_seed(number)
    network = build_planned(settings)
    for member in network.members:
        _answering_two(member, [known.structures.index(name) + 1 for name in answered(number)])
    (folder).mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    for place, fold in enumerate(folds):
        own_weights = f"members.{place}."
        weights = {n.removeprefix(own_weights): v for n, v in network.state_dict().items() if n.startswith(own_weights)}
        (folder / f"fold_{fold}").mkdir()
        found = {
            "network_weights": aliases(settings, weights),
            "trainer_name": trainer,
            "init_args": {"configuration": configuration, "plans": plans, "dataset_json": dataset, "fold": fold},
            "inference_allowed_mirroring_axes": None if "NoMirroring" in trainer else (0, 1, 2),
        }
        torch.save(found, folder / f"fold_{fold}" / "checkpoint_final.pth")
    return folder
