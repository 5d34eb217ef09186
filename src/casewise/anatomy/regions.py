"""The regions of a frontal chest radiograph: both lungs, the heart, and where the heart hides lung."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from casewise.anatomy.region_pose import Pose
from casewise.image import Box, Image

Mask = npt.NDArray[np.bool_]
RIGHT_LUNG, LEFT_LUNG, HEART, OVERLAP = "right_lung", "left_lung", "heart", "heart_lung_overlap"
NAMES = (RIGHT_LUNG, LEFT_LUNG, HEART, OVERLAP)


@dataclass(frozen=True, eq=False)
class Region:
    """mask : (row, column) bool on the image's own grid, not empty. box : around it, half-open pixels.

    probability : the network's, mean over the mask; None of a region that is derived from others.
    """

    name: str
    mask: Mask
    box: Box
    probability: float | None = None


@dataclass(frozen=True)
class Remark:
    """Something about the picture that whoever uses its regions must know. flag : one word for programs; sentence : for people."""

    flag: str
    sentence: str

    def to_json(self) -> dict[str, str]:
        return {"flag": self.flag, "sentence": self.sentence}


@dataclass(frozen=True, eq=False)
class Regions:
    """What was found in a picture, in the order of ``NAMES``; a region that was not seen is missing, and a remark says so.

    found : name → region. remarks : empty for an upright picture with bright bones in which everything was found.
    pose : how the picture was turned to be upright; :meth:`casewise.anatomy.region_pose.Pose.upright` turns a mask so.
    """

    found: Mapping[str, Region]
    remarks: tuple[Remark, ...] = ()
    pose: Pose = field(default_factory=Pose)

    def __getitem__(self, name: str) -> Region:
        return self.found[name]

    def __contains__(self, name: object) -> bool:
        return name in self.found

    @cached_property
    def masks(self) -> Mapping[str, Mask]:
        """Name → (row, column) bool on the image's grid, of each region that was found."""
        return MappingProxyType({name: region.mask for name, region in self.found.items()})

    @cached_property
    def boxes(self) -> Mapping[str, Box]:
        return MappingProxyType({name: region.box for name, region in self.found.items()})

    @property
    def flags(self) -> tuple[str, ...]:
        return tuple(remark.flag for remark in self.remarks)


def regions(image: Image, device: str = "cpu") -> Regions:
    """Outline lungs and heart of a frontal chest radiograph of any resolution, on its own grid.

    ``left_lung`` is the patient's: on the right of a picture that is shown as usual. Where DICOM says how the picture lies, that
    decides; else it counts as upright and not mirrored, unless it is plain that it was turned or that bones are dark in it: then
    it is handled as what it is, and a remark says so.

    Raises CasewiseError, one sentence that says what was seen, for a volume and for a picture that is no frontal chest radiograph.
    """
    from casewise.anatomy.region_network import outlined

    return outlined(image, device)
