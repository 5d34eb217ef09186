"""The regions of a frontal chest radiograph: lungs by two definitions, the heart, where it hides lung, and the clavicles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from casewise.chest.region_pose import Pose
from casewise.image import Box
from casewise.label_map import LabelMap

Mask = npt.NDArray[np.bool_]
RIGHT_LUNG, LEFT_LUNG, HEART, OVERLAP = "right_lung", "left_lung", "heart", "heart_lung_overlap"
# The lung fields as seen are the definition of the SCR set (van Ginneken 2006), which leaves out what the heart hides. Other
# sources draw a lung with its part behind the heart: that is the second definition.
RIGHT_LUNG_FULL, LEFT_LUNG_FULL = "right_lung_full", "left_lung_full"
CLAVICLE, RIGHT_CLAVICLE, LEFT_CLAVICLE = "clavicle", "right_clavicle", "left_clavicle"
NAMES = (RIGHT_LUNG, LEFT_LUNG, HEART, OVERLAP, RIGHT_LUNG_FULL, LEFT_LUNG_FULL, RIGHT_CLAVICLE, LEFT_CLAVICLE)
_FIELDS = (RIGHT_LUNG, LEFT_LUNG, HEART)
# What they are called where nothing distinguishes the sides: 1 lies on the left of the upright picture.
UNSIDED: Mapping[str, str] = MappingProxyType(
    {
        RIGHT_LUNG: "lung_side_unknown_1",
        LEFT_LUNG: "lung_side_unknown_2",
        RIGHT_LUNG_FULL: "lung_full_side_unknown_1",
        LEFT_LUNG_FULL: "lung_full_side_unknown_2",
        RIGHT_CLAVICLE: "clavicle_side_unknown_1",
        LEFT_CLAVICLE: "clavicle_side_unknown_2",
    }
)
_PLACES = {unsided: name for name, unsided in UNSIDED.items()}


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
    """What was found in a picture, in the order of ``NAMES``; a lung or heart that was not seen is missing, and a remark says so.

    ``left_lung`` is the lung field as seen, ``left_lung_full`` the same with what lies behind the heart. A clavicle is its part
    over lungs and ribs. Where nothing distinguishes left from right, they bear the names of ``UNSIDED``, and the remark
    ``sides_unknown`` says why.
    found : name → region. remarks : empty for an upright picture with bright bones in which everything was found.
    pose : how the picture was turned to be upright; :meth:`casewise.chest.region_pose.Pose.upright` turns a mask so.
    affine : the picture's.
    """

    found: Mapping[str, Region]
    remarks: tuple[Remark, ...] = ()
    pose: Pose = field(default_factory=Pose)
    affine: npt.NDArray[np.float64] = field(default_factory=lambda: np.eye(4))

    def __getitem__(self, name: str) -> Region:
        return self.found[name]

    def __contains__(self, name: object) -> bool:
        return name in self.found

    @cached_property
    def masks(self) -> LabelMap:
        """Each region that was found, (row, column) on the image's grid."""
        return LabelMap({name: region.mask for name, region in self.found.items()}, self.affine)

    @cached_property
    def by_place(self) -> LabelMap:
        """Lung fields, heart and overlap by where they lie in the upright picture, whether the sides are known or not.

        ``right_lung`` is the lung on its left. For what is measured or detected there; no name for a person to read.
        """
        return LabelMap({name: mask for name, mask in self.all_by_place.items() if name in (*_FIELDS, OVERLAP)}, self.affine)

    @cached_property
    def all_by_place(self) -> LabelMap:
        """Every mask, named as in :attr:`by_place`."""
        return LabelMap({_PLACES.get(name, name): mask for name, mask in self.masks.items()}, self.affine)

    @cached_property
    def disjoint(self) -> LabelMap:
        """Lung fields and heart, of which no two share a pixel, by the names that a person reads."""
        return LabelMap({name: mask for name, mask in self.masks.items() if _PLACES.get(name, name) in _FIELDS}, self.affine)

    @property
    def sides_known(self) -> bool:
        """Whether left and right are distinguished."""
        return not any(name in _PLACES for name in self.found)

    def public(self, name: str) -> str:
        """The name that a person reads, of a name in :attr:`by_place`."""
        return name if self.sides_known else UNSIDED.get(name, name)

    @cached_property
    def boxes(self) -> Mapping[str, Box]:
        return MappingProxyType({name: region.box for name, region in self.found.items()})

    @property
    def flags(self) -> tuple[str, ...]:
        return tuple(remark.flag for remark in self.remarks)
