"""Cases: the worklist and one image with its geometry."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from casewise.server.schemas.common import BoxPairs, Given

ReadingState = Literal["new", "analysed", "annotated", "done"]


class FindingLine(BaseModel):
    """A finding as the worklist lists it."""

    label: str
    probability: float | None = None
    region: str | None = None


class CaseLine(BaseModel):
    """One row of the worklist. ``name`` is the file's name without its folders; a pseudonym for DICOM unless names are shown.
    ``ohif`` : whether OHIF is there and displays it, at ``/cases/KEY/ohif``.
    """

    key: str
    name: str
    category: str | None
    site: str | None
    modality: str | None
    study_date: str | None
    shape: list[int]
    structures: list[str]
    headline: str | None
    findings: list[FindingLine]
    state: ReadingState
    assigned: str | None
    added: int
    ohif: bool


class CasePage(BaseModel):
    """``next`` : what to give as ``after`` for the following ones; None at the end. ``counts`` : filter → value → images."""

    cases: list[CaseLine]
    next: str | None
    total: int
    counts: dict[str, dict[str, int]]


class Letters(BaseModel):
    """Where the sides of a plane lie in the patient: L, R, A, P, H or F."""

    left: str
    right: str
    top: str
    bottom: str


class Plane(BaseModel):
    """How two axes of the voxels lie on the screen.

    name : axial, coronal, sagittal (slice, column, row of a volume that does not say how it lies); frame (of a loop); image (of a
        picture). x, y : the voxel axes that run along the screen's
    width and height. through : the axis that the slider moves along; None for a picture. flip_x, flip_y : whether the axis runs
    from right to left, from bottom to top. size : width and height of a voxel in mm; both 1 where the size is not known.
    step : its depth in mm (of a loop: the mean time between frames in ms). letters : None where the image does not say.
    """

    name: str
    x: int
    y: int
    through: int | None
    flip_x: bool
    flip_y: bool
    size: tuple[float, float]
    step: float | None
    letters: Letters | None


class Label(BaseModel):
    """A mask, boxes or scribbles of an image. ``name`` of several people's masks of one structure: ``structure@user``."""

    name: str
    kind: str
    origin: dict[str, object]


class CaseDetail(CaseLine):
    """An image with what is needed to display it.

    channels : names of its channels (one for most). dtype : of :http:get:`voxels`. window : (centre, width) to begin with, in the
    values that ``voxels`` gives. unit : of the values. planes : the first is displayed large. facts : the header's values, no
    patient's name. notes : how the file was read. same_subject : keys of other images of the same person, newest first.
    """

    channels: list[str]
    dtype: str
    window: tuple[float, float]
    unit: str | None
    spacing_known: bool
    orientation_known: bool
    loop: bool
    frame_times: list[float]
    planes: list[Plane]
    labels: list[Label]
    facts: dict[str, object]
    notes: list[str]
    same_subject: list[str]
    bytes: int


class Similar(BaseModel):
    """A similar case; ``name`` as in the worklist, ``structures`` those that have masks."""

    key: str
    name: str
    score: float
    latent: float | None
    content: float | None
    category: str | None
    site: str | None
    structures: list[str]


class Uploaded(BaseModel):
    """What became of an upload: keys of the images taken in, and each file that was refused with its reason."""

    added: int
    known: int
    keys: list[str]
    failed: list[dict[str, str]]
    job: int | None


class Assignment(Given):
    """``user`` : None takes the assignment away. ``state`` : done marks the case as read."""

    user: str | None = None
    state: Literal["open", "done"] = "open"


class RegionQuery(BaseModel):
    """A box for a comparison by region."""

    box: BoxPairs


class MaskBy(BaseModel):
    """One of several masks of a structure. ``name`` : its label. ``user`` : whose it is, None where nobody is named. ``final`` :
    the one that counts, as training and export take it. ``chosen_by`` : the admin who chose it. ``version`` : another one each time
    that the mask is written.
    """

    name: str
    user: str | None
    voxels: int
    final: bool
    chosen_by: str | None
    version: str


class Pair(BaseModel):
    """How far two people's masks agree: 1 the same, 0 without a common voxel."""

    first: str
    second: str
    dice: float


class Agreement(BaseModel):
    """All masks of a structure of one image, and how far each two people's agree, of each person the one that was written last."""

    structure: str
    masks: list[MaskBy]
    pairs: list[Pair]


class FinalOrder(Given):
    """Which of several people's masks counts; ``name`` : its label, as ``structure@user``. ``seen`` : the version of it that the
    person has looked at; the order is refused where it is another one by now.
    """

    structure: str = Field(min_length=1, max_length=100)
    name: str = Field(min_length=1, max_length=200)
    seen: str | None = Field(default=None, max_length=100)
