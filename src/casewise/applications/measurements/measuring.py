"""What the measuring applications share: which images they take, how they refuse, and where masks are written."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from casewise.applications.refusal import UNKNOWN, NotMeasuredError
from casewise.finding import MEASURE, Finding
from casewise.image import Box, Image
from casewise.names import same_category

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating]
_SAMPLES = 100_000
_COLOURED = 0.15  # of the brightest value, between a pixel's channels


class Measuring(ABC):
    """Implements :class:`casewise.applications.Application` for what can be measured without a trained model.

    It answers with findings of the kind ``measure`` alone.
    name : the application's. categories : of the images that it takes. what : these images, as a refusal calls them.
    notes : what whoever reads the last image's findings must know.
    """

    name: ClassVar[str]
    categories: ClassVar[tuple[str, ...]]
    what: ClassVar[str]

    def __init__(self, masks: str | Path | None = None, intended_only: bool = True) -> None:
        """Masks : folder where outlines are written, on the image's grid; None writes none. intended_only : whether an image that
        nobody routed here is refused where the shipped router takes it for another kind.
        """
        self._masks = None if masks is None else Path(masks)
        self._intended_only = intended_only
        self.notes: list[str] = []

    def analyze(self, image: Image) -> list[Finding]:
        """As :meth:`measured`. Of a loop the middle frame is measured, without a mask, and a note says so.

        Raises NotMeasuredError, one sentence, where the measure cannot be made and for an image of another kind.
        """
        self.notes = []
        if not np.isfinite(image.array).all():
            raise NotMeasuredError(f"{self.name} needs finite values, and this image holds others; convert it again.")
        if not np.ptp(image.array):
            raise NotMeasuredError("The image has one value throughout, so nothing can be measured in it; give another image.")
        self._check_kind(image)
        if not image.is_loop:
            return self.measured(image, self._masks)
        number = image.spatial_shape[2] // 2
        self.notes.append(f"Measured in frame {number + 1} of {image.spatial_shape[2]}.")
        return self.measured(image.frame(number), None)

    @abstractmethod
    def measured(self, image: Image, folder: Path | None) -> list[Finding]:
        """The findings of a picture or a volume whose values are finite. folder : for masks; None writes none."""

    def _check_kind(self, image: Image) -> None:
        if not self._intended_only or image.header.category not in (None, UNKNOWN):
            return
        from casewise.applications.measurements.kinds import kind_of

        kind = kind_of(image)
        if not any(same_category(kind, own) for own in self.categories):
            taken = "of no known kind" if kind == UNKNOWN else f"taken for {kind}"
            raise NotMeasuredError(
                f"{self.name} is for {self.what}, and this image is {taken}; give such an image, or choose another application."
            )

    def refusal(self, reason: str) -> NotMeasuredError:
        """To be raised. reason : a clause that says what is missing and what to do."""
        return NotMeasuredError(f"{self.name} was not measured: {reason}.")

    def finding(self, label: str, measures: Mapping[str, float], mask: Mask | None = None, path: Path | None = None) -> Finding:
        """A measure, to five significant digits. mask : its outline (*spatial). path : the file of it."""
        rounded = {name: float(f"{value:.5g}") for name, value in measures.items()}
        box = None if mask is None else Box.around(mask)
        return Finding(self.name, label, box=box, mask=path, measures=rounded, kind=MEASURE)

    def written(self, label: str, mask: Mask, image: Image, folder: Path | None) -> Path | None:
        """The file of an outline in ``folder``."""
        if folder is None or not mask.any():
            return None
        from casewise.formats import mask_suffix, write_mask

        return write_mask(folder / f"{self.name}-{label.replace(' ', '-')}{mask_suffix(image)}", mask, image)


def is_coloured(image: Image) -> bool:
    """Whether more than a hundredth of an image's pixels is coloured: grey pictures are often stored in three channels."""
    if image.channels != 3:
        return False
    values = image.array.reshape(3, -1)[:, :: image.array[0].size // _SAMPLES + 1].astype(np.float32)
    return float(np.mean(np.ptp(values, axis=0) > _COLOURED * max(float(values.max()), 1e-6))) > 0.01
