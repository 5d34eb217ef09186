"""Raw data as nnU-Net wants them, and nnU-Net on them in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError

PEERS = Path(__file__).parents[2] / ".peers" / "nnunet"
DATASET = "Dataset001_Small"
_PEER = Path(__file__).with_name("peer.py")


def nnunet(*words: object) -> None:
    """Run ``peer.py`` with nnU-Net. Raises CasewiseError with what it printed where it fails."""
    environment = os.environ | {"PYTHONPATH": str(PEERS), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, _PEER, *map(str, words)], env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CasewiseError(f"nnU-Net failed: {done.stderr[-2000:]}")


def write(file: Path, array: npt.NDArray[np.generic], affine: npt.NDArray[np.float64]) -> Path:
    """A NIfTI file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), file)
    return file


def describe(work: Path, channels: Sequence[str], labels: Mapping[str, Any], count: int, **more: Any) -> None:
    """``dataset.json`` of ``work/raw/DATASET``."""
    about = {"channel_names": dict(enumerate(channels)), "numTraining": count, "file_ending": ".nii.gz"}
    (work / "raw" / DATASET / "dataset.json").write_text(json.dumps({**about, "labels": labels, **more}), encoding="utf-8")
