"""The regions of a picture as one file, so that another process need not outline it again; nothing of it is a lasting format."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from casewise.chest.region import Region, Regions, Remark
from casewise.chest.region_pose import Pose
from casewise.errors import CasewiseError
from casewise.image import Box

_ABOUT = "about"


def write_regions(path: Path, found: Regions | CasewiseError) -> None:
    """An error is written as its sentence: a picture that is refused is refused once for all."""
    if isinstance(found, CasewiseError):
        about: dict[str, object] = {"refused": str(found)}
        masks = {}
    else:
        about = {
            "probabilities": {name: region.probability for name, region in found.found.items()},
            "remarks": [remark.to_json() for remark in found.remarks],
            "pose": asdict(found.pose),
        }
        masks = {name: region.mask for name, region in found.found.items()}
        about["shapes"] = {name: mask.shape for name, mask in masks.items()}
    packed = {name: np.packbits(mask) for name, mask in masks.items()}
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    with path.open("wb") as file:  # by its name alone, numpy would add a suffix
        np.savez(file, allow_pickle=False, **{_ABOUT: text}, **packed)


def read_regions(path: Path) -> Regions | CasewiseError:
    """What :func:`write_regions` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        about = json.loads(arrays[_ABOUT].tobytes())
        if "refused" in about:
            return CasewiseError(about["refused"])
        found = {}
        for name, shape in about["shapes"].items():
            rows, columns = shape
            mask = np.unpackbits(arrays[name], count=rows * columns).reshape(rows, columns).astype(bool)
            box = Box.around(mask)
            if box is not None:
                found[name] = Region(name, mask, box, about["probabilities"][name])
    return Regions(found, tuple(Remark(**remark) for remark in about["remarks"]), Pose(**about["pose"]))
