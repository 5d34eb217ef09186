"""What a file says of its image beside voxels and affine. Never a patient's name, identifier or birth date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

COLUMN_FIRST = frozenset({"NIfTI", "NRRD", "MetaImage"})  # formats whose files count along a row first


@dataclass(frozen=True)
class Header:
    """None, empty or False where the file does not say.

    format : kind of file: DICOM, NIfTI, NRRD, MetaImage, PNG, JPEG, TIFF, BMP, HDF5.
    spacing_known : False for a PNG: its affine counts pixels, not mm.
    orientation_known : False where a file does not say how its axes lie in the patient, as a NIfTI without sform and qform or an
        NRRD or MetaImage of voxel sizes alone; left out, it is as ``spacing_known``.
    spacing_at : where a radiograph's pixel size holds: ``patient``, ``detector`` or ``film``.
    directions : where the rows and the columns of a DICOM picture run to in the patient: L, R, A, P, H or F.
    rows_first : of a picture in a NIfTI, NRRD or MetaImage file: its first axis counts rows.
    single_axis : which axis of its file had the length 1, of a picture that is a volume of one plane; −1 if the file has two axes.
    third_axis : what the third axis of the array counts: ``space``; ``time``, the frames of a loop, or ``frame``, other frames that
    form no volume (detectors, places that are no stack). frame_times : of the frames of a loop, in ms since the first.
    axes_note : what a person should know of the axes. sheared : the slices are not perpendicular to their stack.
    modality : DICOM's code: CT, MR, CR, DX, US, … sequence, sequence_name, body_part, view, manufacturer, scanner : by words of a
        vocabulary alone. category : what a router found the image to be.
    sop_class : DICOM's keyword of the kind of object: CTImageStorage, SecondaryCaptureImageStorage, …
    image_type : what ImageType says of it by words of a vocabulary: DERIVED, LOCALIZER, MIP, …
    region : SNOMED CT's code of the body region, of AnatomicRegionSequence. described_part : the parts of the body that
    descriptions of series, protocol or study name.
    age : years, 90 for older ones. sex : M, F, O. subject : a pseudonym.
    series, instance : of a DICOM image, its series' UID and its first instance.
    photometric : MONOCHROME2 or RGB. window : (centre, width) in the pixels' unit. unit : of a dose: Gy, relative.
    inverted : values were turned over so that high is bright. alpha : what became of transparency.
    palette, white_is_zero, colours, lossy : of a picture read as a mask, how its numbers stand for labels.
    sequences, absent, reference : of an examination, what its channels are, which are missing (0 everywhere), whose grid it is on.
    notes : sentences about how the file was read.
    other : whatever else is known, by lower-case keys.
    """

    format: str | None = None
    spacing_known: bool = True
    orientation_known: bool = None  # type: ignore[assignment]  # until __post_init__
    spacing_at: str | None = None
    directions: tuple[str, str] | None = None
    rows_first: bool = False
    single_axis: int | None = None
    third_axis: str = "space"
    frame_times: tuple[float, ...] = ()
    axes_note: str | None = None
    sheared: bool = False
    modality: str | None = None
    sequence: str | None = None
    sequence_name: str | None = None
    body_part: str | None = None
    view: str | None = None
    manufacturer: str | None = None
    scanner: str | None = None
    category: str | None = None
    sop_class: str | None = None
    image_type: tuple[str, ...] = ()
    region: str | None = None
    described_part: str | None = None
    age: float | None = None
    sex: str | None = None
    subject: str | None = None
    series: str | None = None
    instance: str | None = None
    photometric: str | None = None
    window: tuple[float, float] | None = None
    unit: str | None = None
    inverted: bool = False
    alpha: str | None = None
    palette: tuple[tuple[int, int, int], ...] | None = None
    white_is_zero: bool = False
    colours: bool = False
    lossy: bool = False
    sequences: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    reference: str | None = None
    notes: tuple[str, ...] = ()
    other: Mapping[str, object] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.orientation_known is None:
            object.__setattr__(self, "orientation_known", self.spacing_known)
        object.__setattr__(self, "other", dict(self.other))

    @property
    def placed(self) -> bool:
        """Whether the affine says where the voxels lie in the patient."""
        return self.spacing_known and self.orientation_known

    @property
    def column_first(self) -> bool:
        """Of a picture: whether its first axis counts along a row of it, and is not of a picture file's grid."""
        return self.format in COLUMN_FIRST and not self.rows_first

    def of_masks(self, spatial_dims: int) -> Header:
        """What masks on this image's grid, of so many axes in space, know of it beside the affine."""
        return Header(
            spacing_known=self.spacing_known,
            orientation_known=self.orientation_known,
            single_axis=self.single_axis,
            rows_first=spatial_dims == 2 and not self.column_first,
        )

    def without_grid(self) -> Header:
        """For the image on another grid: without what holds for its own axes alone."""
        return replace(self, directions=None, rows_first=False, axes_note=None)

    def to_json(self) -> dict[str, object]:
        """What is stated, under the fields' names, the entries of ``other`` beside them."""
        stated = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name != "other"}
        kept = {name: value for name, value in stated.items() if not (value is None or value is False or value == ())}
        kept |= {"spacing_known": self.spacing_known, "orientation_known": self.orientation_known}
        if self.orientation_known == self.spacing_known:
            del kept["orientation_known"]
        if self.third_axis == "space":
            del kept["third_axis"]
        return {**self.other, **kept}

    @classmethod
    def from_json(cls, stated: Mapping[str, Any]) -> Header:
        """The inverse of :meth:`to_json`: an entry without a field of its name becomes one of ``other``."""
        names = {entry.name for entry in fields(cls)} - {"other"}
        known: dict[str, Any] = {name: _immutable(value) for name, value in stated.items() if name in names}
        return cls(**known, other={name: value for name, value in stated.items() if name not in names})


def _immutable(value: object) -> object:
    return tuple(_immutable(entry) for entry in value) if isinstance(value, list | tuple) else value
