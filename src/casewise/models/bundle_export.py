"""A model of MONAI's network and MONAI's steps, written as the bundle that ``monai.bundle`` runs."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tomli_w
import torch

from casewise.errors import ModelError
from casewise.files import replacing
from casewise.models.card import card
from casewise.models.foreign.bundle_steps_export import postprocessing, preprocessing
from casewise.models.model import Model
from casewise.models.networks.answers import Logits
from casewise.models.preparation import Preparation
from casewise.models.tasks import Segmentation

_SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
_ELSE = "export it as torchscript"
_IGNITE = "0.5.2"  # what runs a bundle, the oldest that MONAI takes


def export_bundle(model: Model, folder: Path) -> Path:
    """Write ``folder``: ``configs/``, ``models/model.pt``, ``docs/README.md`` and ``LICENSE``, and return it.

    Beside MONAI's own files lies ``casewise.toml`` with what these cannot say, so that casewise reads the same model again.
    Raises ModelError for a network or a preparation that MONAI does not have, and where the folder is there already.
    """
    _ensure_known(model)
    if folder.exists():
        raise ModelError(f"{folder} exists, and a model is never overwritten; choose another folder.")
    network = model.network()
    inner = network.inner if isinstance(network, Logits) else network
    documents = {"inference.json": _inference(model), "metadata.json": _metadata(model)}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with replacing(folder) as beside:
            for name in ("configs", "models", "docs"):
                (beside / name).mkdir(parents=True)
            for name, document in documents.items():
                (beside / "configs" / name).write_text(json.dumps(document, indent=4), encoding="utf-8")
            torch.save(inner.state_dict(), beside / "models" / "model.pt")
            (beside / "docs" / "README.md").write_text(card(model), encoding="utf-8")
            (beside / "LICENSE").write_text(_licence(model), encoding="utf-8")
            (beside / "casewise.toml").write_text(tomli_w.dumps(_own(model)), encoding="utf-8")
    except OSError as error:
        raise ModelError(f"The model cannot be written to {folder}: {error.strerror}; choose another folder.") from error
    return folder


def _ensure_known(model: Model) -> None:
    kind, preparation = model.spec.architecture, model.spec.preparation
    if kind == "nnunet":
        raise ModelError(
            f"{model.name} prepares images as nnU-Net's plans say, for which MONAI has no transforms; export it as nnunet, or its "
            "network as torchscript."
        )
    if kind != "monai" or model.foreign is not None:
        raise ModelError(f"MONAI does not have the network of {model.name} ({kind}); {_ELSE}.")
    if not isinstance(model.kind, Segmentation) or not preparation.stepwise:
        raise ModelError(f"{model.name} prepares images by settings of casewise, for which MONAI has no transforms; {_ELSE}.")


def _inference(model: Model) -> dict[str, Any]:
    """As ``python -m monai.bundle run --config_file configs/inference.json`` takes it: from ``dataset_dir`` to ``output_dir``.

    Of a model of several sequences each image is as many files, in the order of their names.
    """
    network, preparation = model.spec.network, model.spec.preparation
    arguments = json.loads(str(network.get("arguments", "{}")))
    volumes = preparation.spatial_dims == 3 or _sliced(preparation)
    return {
        "imports": ["$import glob", "$import os"],
        "bundle_root": ".",
        "output_dir": "$@bundle_root + '/eval'",
        "dataset_dir": "$@bundle_root + '/images'",
        "suffix": ".nii.gz" if volumes else ".png",
        "files": "$sorted(glob.glob(os.path.join(@dataset_dir, '*' + @suffix)))",
        "together": preparation.channels if preparation.channel_names else 1,
        "datalist": "$[{'image': @files[i:i + @together]} for i in range(0, len(@files), @together)]",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": {"_target_": str(network["name"]), **arguments},
        "network": "$@network_def.to(@device)",
        "preprocessing": {"_target_": "Compose", "transforms": preprocessing(preparation, oriented=_oriented(preparation))},
        "dataset": {"_target_": "Dataset", "data": "@datalist", "transform": "@preprocessing"},
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "shuffle": False, "num_workers": 0},
        "inferer": _inferer(preparation),
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                *postprocessing(str(network.get("answers", "logits")), preparation.restored, model.spec.outputs, len(model.labels)),
                {
                    "_target_": "SaveImaged",
                    "keys": "pred",
                    "output_dir": "@output_dir",
                    "output_ext": ".nii.gz" if volumes else ".png",
                    "output_postfix": "seg",
                    "output_dtype": "uint8",
                    "resample": not volumes,  # what MONAI's writer of pictures needs; the grid is the picture's by now
                    "squeeze_end_dims": True,
                    "separate_folder": False,
                },
            ],
        },
        "handlers": [
            {
                "_target_": "CheckpointLoader",
                "load_path": "$@bundle_root + '/models/model.pt'",
                "load_dict": {"model": "@network"},
                "map_location": "@device",
            }
        ],
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "val_handlers": "@handlers",
            "amp": False,
        },
        "run": ["$@evaluator.run()"],
    }


def _oriented(preparation: Preparation) -> bool:
    """Whether a transform turns the image: not a picture, which MONAI reads as (column, row)."""
    return preparation.spatial_dims == 3 or preparation.axes != "LPS"


def _sliced(preparation: Preparation) -> bool:
    return preparation.spatial_dims == 2 and _oriented(preparation)


def _inferer(preparation: Preparation) -> dict[str, Any]:
    if not preparation.windowed and not _sliced(preparation):
        return {"_target_": "SimpleInferer"}
    return {
        "_target_": "SliceInferer" if _sliced(preparation) else "SlidingWindowInferer",
        "roi_size": list(preparation.size),
        "sw_batch_size": 1,
        "overlap": 0.25 if preparation.overlap is None else preparation.overlap,
        "mode": preparation.blending,
        "padding_mode": preparation.padding,
        **({"spatial_dim": 2} if _sliced(preparation) else {}),
    }


def _metadata(model: Model) -> dict[str, Any]:
    preparation, labels = model.spec.preparation, list(model.labels)
    names = labels if model.spec.regions or model.spec.network.get("answers") == "sigmoid" else ["background", *labels]
    outputs = {str(number): name for number, name in enumerate(names)}
    shape, about = list(preparation.size), f"Segments {', '.join(labels)}; written by casewise."
    common = {"type": "image", "dtype": "float32", "spatial_shape": shape, "is_patch_data": preparation.windowed}
    channels = preparation.channel_names or tuple(f"image {number}" for number in range(preparation.channels))
    channels = ("image",) if preparation.channels == 1 else channels
    return {
        "schema": _SCHEMA,
        "version": "1.0.0",
        "changelog": {"1.0.0": f"written by casewise; model {model.key}"},
        "monai_version": version("monai").partition("+")[0],
        "pytorch_version": version("torch").partition("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": {"nibabel": version("nibabel"), "pytorch-ignite": _IGNITE},
        "name": model.name,
        "task": about,
        "description": about,
        "authors": "not stated",
        "copyright": "see LICENSE",
        "network_data_format": {
            "inputs": {
                "image": {
                    **common,
                    "format": "magnitude",
                    "num_channels": preparation.channels,
                    "value_range": [],
                    "channel_def": {str(number): name for number, name in enumerate(channels)},
                }
            },
            "outputs": {
                "pred": {
                    **common,
                    "format": "segmentation",
                    "num_channels": len(names),
                    "value_range": [0, 1],
                    "channel_def": outputs,
                }
            },
        },
    }


def _licence(model: Model) -> str:
    """What is known of it: casewise gives weights no licence that they had not."""
    data = model.lineage.training_data
    stated = [f"- {one.name}: {one.licence}{' (research only)' if one.research_only else ''}" for one in data]
    origin = f", which began with {model.lineage.parent_name}" if model.lineage.parent_name else ""
    return "\n".join(
        [
            f"Weights of {model.name}{origin}.",
            "",
            "casewise gives them no licence of its own: those of the model that they began with, and of the data that they were",
            "trained on, go on. Stated for the data:",
            "",
            *(stated or ["- nothing; ask those who trained the model, and look into the bundle that it began with"]),
            "",
        ]
    )


def _own(model: Model) -> dict[str, Any]:
    """What casewise reads beside MONAI's files."""
    preparation = model.spec.preparation
    given: dict[str, Any] = {"axes": preparation.axes, "size": list(preparation.size)}
    if preparation.channel_names:
        given["channel_names"] = list(preparation.channel_names)
    structures = [str(structure) for structure in model.spec.structures]
    return {
        "name": model.name,
        "task": "segmentation",
        "structures": structures,
        "answers": str(model.spec.network.get("answers", "logits")),
        "input": given,
    }
