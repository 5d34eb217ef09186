"""What several subjects share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, field_validator

Range = tuple[int, int]  # half-open voxels of one axis
BoxPairs = list[Range]  # one pair an axis, in the order of the image's spatial axes
Runs = list[Range]  # [first voxel, count] in the image's voxels counted row-major (C order) over its spatial axes


class Given(BaseModel):
    """A body that a call takes: unknown names are refused, and the letter zero, which no database takes."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("*")
    @classmethod
    def _no_zero(cls, value: object) -> object:
        texts = value if isinstance(value, list) and value and isinstance(value[0], str) else [value]
        if any(isinstance(text, str) and "\0" in text for text in texts):
            msg = "the letter U+0000 is not allowed"
            raise ValueError(msg)
        return value


class Problem(BaseModel):
    """Every error: one sentence."""

    detail: str


class MaskPatch(BaseModel):
    """A mask, or the part of it that changed.

    box : where; what lies outside is unchanged (in a whole mask: empty). data : base64 of zlib of the box's voxels, row-major, one
    bit each, the first in the highest bit (``numpy.packbits``).
    """

    box: BoxPairs
    data: str
