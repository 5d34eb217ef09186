"""Heads of FLAIR and T1 in nnU-Net's layout, and small nnU-Nets of every kind for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from casewise import formats
from casewise.image import Image
from tests.examination.phantom import affine, head, motion, tissues
from tests.models.nnunet.small import CONFIGURATION, DATASET, FLAT, PLANS, written

SHAPE, VOXEL = (28, 32, 20), 6.0
LABELS = {"background": 0, "brain": 1, "ventricles": 2}
REGIONS = {"background": 0, "head": [1, 2], "ventricles": [2]}


def plans(configuration: dict[str, Any], channels: int = 1, **changes: Any) -> dict[str, Any]:
    each = {"normalization_schemes": ["ZScoreNormalization"] * channels, "use_mask_for_norm": [False] * channels}
    return {**PLANS, "configurations": {"3d_fullres": {**configuration, **each, **changes}}}


MODELS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "volumes": (plans(CONFIGURATION, spacing=[VOXEL] * 3), {**DATASET, "labels": LABELS}),
    "slices": (plans(FLAT, spacing=[VOXEL] * 2), {**DATASET, "labels": LABELS}),
    "regions": (plans(CONFIGURATION, spacing=[VOXEL] * 3), {**DATASET, "labels": REGIONS, "regions_class_order": [1, 2]}),
    "sequences": (
        plans(CONFIGURATION, 2, spacing=[VOXEL] * 3),
        {**DATASET, "labels": LABELS, "channel_names": {"0": "FLAIR", "1": "T1"}},
    ),
}


def patient(raw: Path, name: str, seed: int, raised: bool) -> dict[str, Path]:
    """In nnU-Net's layout: a file a sequence, and the labels of both."""
    moved, files = motion(8, 6, seed), {}
    for number, kind in enumerate(("FLAIR", "T1")):
        image = head(kind, moved, shape=SHAPE, voxel=VOXEL, seed=seed)
        image = Image(image.array * (1.5 if raised else 1), image.affine)
        (raw / "imagesTr").mkdir(parents=True, exist_ok=True)
        files[kind] = formats.write(raw / "imagesTr" / f"{name}_000{number}.nii.gz", image)
    found = tissues(moved @ affine(SHAPE, VOXEL), SHAPE)
    labels = np.where(found == 2, 2, found > 0).astype(np.uint8)
    (raw / "labelsTr").mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(labels, moved @ affine(SHAPE, VOXEL)), raw / "labelsTr" / f"{name}.nii.gz")
    return files


def model(root: Path, name: str) -> Path:
    """The folder of the model ``name`` of :data:`MODELS`."""
    own = MODELS[name]
    return written(root / name / "Dataset007_Small", *own, weighted_for=own, inference_allowed_mirroring_axes=())
