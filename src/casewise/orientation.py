"""How a picture's two axes lie in the patient, and how the picture is turned so that it lies as it is displayed.

A picture is an image of two spatial axes. On a screen its rows run to the right and its columns down; where it shows a patient, the
display convention is: frontal (coronal) and axial views with the patient's left on the right of the picture, a sagittal view with
the face to the left. What a file stores first is another matter: NIfTI, NRRD and MetaImage count along a row first.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from casewise.header import COLUMN_FIRST
from casewise.image import Image

Kind = TypeVar("Kind", bound=np.generic)
Directions = tuple[str, str]
FRONTAL, AXIAL, SAGITTAL = ("L", "F"), ("L", "P"), ("P", "F")
_OPPOSITE = {"L": "R", "R": "L", "H": "F", "F": "H", "A": "P", "P": "A"}
_TOWARDS = (("L", "R"), ("P", "A"), ("F", "H"))  # of negative and positive RAS coordinates
_ROWS_FIRST = ("DICOM", "HDF5")  # of volumes
_OF_ITK = ("NRRD", "MetaImage")
_SAME = 1e-6


@dataclass(frozen=True)
class Turn:
    """One of the eight ways to lay a picture: ``mirrored`` left to right, then ``turns`` of 90° against the clock."""

    turns: int = 0
    mirrored: bool = False

    def upright(self, plane: npt.NDArray[Kind]) -> npt.NDArray[Kind]:
        """``plane`` (…, row, column) turned; its values stay."""
        return np.rot90(plane[..., ::-1] if self.mirrored else plane, self.turns, axes=(-2, -1))

    def back(self, plane: npt.NDArray[Kind]) -> npt.NDArray[Kind]:
        """The inverse of :meth:`upright`."""
        turned = np.rot90(plane, -self.turns, axes=(-2, -1))
        return turned[..., ::-1] if self.mirrored else turned

    @property
    def axes(self) -> tuple[int, int]:
        """Which axis of the picture the rows, and which the columns, of the turned picture count."""
        return (1, 0) if self.turns % 2 else (0, 1)

    @property
    def flipped(self) -> tuple[bool, bool]:
        """Whether the turned picture counts each of these two axes from its end."""
        corner = self.upright(np.arange(4).reshape(2, 2))[0, 0]
        ends = (bool(corner // 2), bool(corner % 2))
        return ends[self.axes[0]], ends[self.axes[1]]


TURNS = tuple(Turn(turns, mirrored) for mirrored, turns in product((False, True), range(4)))
TRANSPOSED = Turn(1, mirrored=True)


def joined(first: Turn, second: Turn) -> Turn:
    """``first``, then ``second``."""
    if second.mirrored:
        return Turn((second.turns - first.turns) % 4, not first.mirrored)
    return Turn((first.turns + second.turns) % 4, first.mirrored)


def turn_to(directions: Directions, standard: Directions) -> Turn | None:
    """The turn after which a picture's rows and columns run to ``standard``; None where no turn makes them.

    directions : where the rows (increasing column) and the columns (increasing row) run to in the patient: L, R, A, P, H, F.
    """
    return next((turn for turn in TURNS if _turned(directions, turn) == standard), None)


def directions_of(image: Image) -> Directions | None:
    """Where the rows and the columns of a picture run to in the patient, as far as its file states it; None where it does not.

    DICOM's PatientOrientation comes first, then the affine. An affine that only repeats a default (the axes' own directions, the
    origin at 0), as libraries write it for any picture, states nothing.
    """
    if image.spatial_dims != 2:
        return None
    if image.header.directions and set(image.header.directions) <= set(_OPPOSITE):
        return image.header.directions
    if not image.header.orientation_known or _is_default(affine_of_file(image)):
        return None
    letters = _letters(image.affine)
    return None if letters is None else (letters[1], letters[0])


def stated(image: Image) -> Turn | None:
    """The turn that brings a frontal view upright by what its file states; None where it states no frontal view."""
    directions = directions_of(image)
    return None if directions is None else turn_to(directions, FRONTAL)


def column_first(image: Image) -> bool:
    """Whether a picture's first axis counts along a row of it, as ITK writes NIfTI, NRRD and MetaImage."""
    return image.spatial_dims == 2 and image.header.column_first


def volume_rows_first(image: Image) -> bool:
    """Whether a volume's first axis counts its rows, as DICOM's slices have them; other files and arrays begin with the columns."""
    return image.spatial_dims == 3 and image.header.format in _ROWS_FIRST


def volume_column_first(image: Image) -> bool:
    """Whether a volume's file counts along a row first, as ITK writes NIfTI, NRRD and MetaImage; of an array nobody knows."""
    return image.spatial_dims == 3 and image.header.format in COLUMN_FIRST


def in_own_space(image: Image) -> bool:
    """Whether an image that does not say how it lies in the patient has places in a space of its file, which has no such name.

    NRRD and MetaImage files may state an origin, and directions, without a word on the patient. Of other files the affine is then
    made of the voxel size alone.
    """
    return image.header.format in _OF_ITK and image.header.spacing_known and not image.header.orientation_known


def has_places(image: Image) -> bool:
    """Whether the affine says where voxels lie: in the patient, or in a space of the file's own."""
    return image.header.placed or in_own_space(image)


def size_stated(image: Image) -> bool:
    """Whether the file states how large its pixels are: 1 mm in a default geometry is what ITK and nibabel write unasked."""
    unasked = column_first(image) and set(image.spacing) == {1.0} and _is_default(affine_of_file(image))
    return image.header.spacing_known and not unasked


def displayed(image: Image) -> Turn:
    """The turn that lays a picture as it is displayed: by what its file states, else by its format; never by what it shows.

    A volume is not turned.
    """
    if image.spatial_dims != 2:
        return Turn()
    directions = directions_of(image)
    usual = TRANSPOSED if column_first(image) else Turn()
    if directions is None:
        return usual
    # A DICOM picture that is no frontal view (a mammogram, a view of a hand) is displayed as it is stored.
    planes = (FRONTAL,) if image.header.directions else (FRONTAL, AXIAL, SAGITTAL)
    turns = (turn_to(directions, standard) for standard in planes)
    return next((turn for turn in turns if turn is not None), usual)


def affine_of_file(image: Image) -> npt.NDArray[np.float64]:
    """A picture's affine with its columns in the order of its file's axes: of a volume of one plane, that axis may come first."""
    single = image.header.single_axis
    if image.spatial_dims != 2 or not isinstance(single, int) or single not in (0, 1, 2):
        return image.affine
    order = np.argsort([*(axis for axis in range(3) if axis != single), single])
    return image.affine[:, [*order, 3]]


def _turned(directions: Directions, turn: Turn) -> Directions:
    row, column = directions
    if turn.mirrored:
        row = _OPPOSITE[row]
    for _ in range(turn.turns):  # against the clock: what ran down runs right, what ran right runs up
        row, column = column, _OPPOSITE[row]
    return row, column


def _is_default(affine: npt.NDArray[np.float64]) -> bool:
    """Whether an affine says no more than voxel sizes: no origin, and each index along its own axis of RAS or of LPS."""
    sizes = np.diag(affine)[:3]
    plain = np.abs(affine[:3, :3] - np.diag(sizes)).max() <= _SAME * np.abs(sizes).max()
    return bool(plain and np.abs(affine[:3, 3]).max() <= _SAME and sizes[2] > 0 and sizes[0] * sizes[1] > 0)


def _letters(affine: npt.NDArray[np.float64]) -> Directions | None:
    """Where a picture's two axes run to, each by the patient's axis nearest to it; None where both are nearest to the same."""
    letters, taken = [], set()
    for column in affine[:3, :2].T:
        axis = int(np.abs(column).argmax())
        taken.add(axis)
        letters.append(_TOWARDS[axis][int(column[axis] > 0)])
    return (letters[0], letters[1]) if len(taken) == 2 else None
