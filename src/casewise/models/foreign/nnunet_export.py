"""A model of nnU-Net's plans, written as the folder that nnU-Net v2 itself predicts with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from casewise.errors import ModelError
from casewise.files import replacing
from casewise.models.planned.network import aliases
from casewise.models.spec import PLANNED
from casewise.models.stored import StoredModel


def export_planned(model: StoredModel, folder: Path) -> Path:
    """Write ``folder/<data set>/<trainer>__<plans>__<configuration>``, so that ``nnUNet_results`` may be ``folder``, and return it;
    one of TotalSegmentator's models goes where TotalSegmentator looks for it.

    Raises ModelError for a model of another origin, whose preparation is not nnU-Net's, and where the folder is there already.
    """
    network = model.spec.network
    if network.get("kind") != PLANNED:
        raise ModelError(f"{model.name} has no plans of nnU-Net, whose preparation is its own; export it as TorchScript.")
    plans, dataset = json.loads(network["plans"]), json.loads(network["dataset"])
    name = "__".join((str(network["trainer"]), str(plans.get("plans_name", "nnUNetPlans")), str(network["configuration"])))
    above = str(plans.get("dataset_name", model.name))
    if "place" in network:  # where TotalSegmentator looks for it
        above, _, name = str(network["place"]).partition("/")
    place = folder / _safe(above) / _safe(name)
    if place.exists():
        raise ModelError(f"{place} exists, and a model is never overwritten; choose another folder.")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with replacing(place) as beside:
            beside.mkdir()
            for file, document in (("plans.json", plans), ("dataset.json", dataset)):
                (beside / file).write_text(json.dumps(document, indent=4), encoding="utf-8")
            for number, fold in enumerate(network["folds"]):
                (beside / f"fold_{_safe(str(fold))}").mkdir()
                torch.save(_checkpoint(model, number, plans, dataset), beside / f"fold_{_safe(str(fold))}" / "checkpoint_final.pth")
    except OSError as error:
        raise ModelError(f"The model cannot be written to {folder}: {error.strerror}; choose another folder.") from error
    return place


def _checkpoint(model: StoredModel, number: int, plans: Mapping[str, Any], dataset: Mapping[str, Any]) -> dict[str, Any]:
    network, own = model.spec.network, f"members.{number}."
    weights = {name.removeprefix(own): value for name, value in model.weights.items() if name.startswith(own)}
    return {
        "network_weights": aliases(network, weights),
        "trainer_name": str(network["trainer"]),
        "inference_allowed_mirroring_axes": tuple(network["mirroring"]) or None,
        "init_args": {
            "configuration": str(network["configuration"]),
            "fold": network["folds"][number],
            "plans": dict(plans),
            "dataset_json": dict(dataset),
        },
    }


def _safe(name: str) -> str:
    """A name that cannot lead out of its folder."""
    if name in ("", ".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise ModelError(f"{name!r} is no name for a folder; correct it in plans.json.")
    return name
