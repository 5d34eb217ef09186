"""Applications by the small models that come with casewise: what each takes, what it looks for, and how it is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from casewise.applications.declared import ON_REQUEST
from casewise.errors import CasewiseError, UsageError
from casewise.finding import Finding
from casewise.image import Image

if TYPE_CHECKING:
    from casewise.applications.intended import Intended
    from casewise.models import Model, Prediction


@dataclass(frozen=True)
class Shipped:
    """name : the application's. categories : of the images it takes. feature : what it looks for. model : the shipped model's name.

    dimensions : how many spatial axes its images may have. longest_mm : the longest edge that its images may have, where it was
    made for crops; it counts voxels where their size is not known. detects : signs of disease among what it answers.
    """

    name: str
    categories: tuple[str, ...]
    feature: str
    model: str
    dimensions: tuple[int, ...]
    longest_mm: float | None = None
    detects: tuple[str, ...] = ()


CATALOGUE: Mapping[str, Shipped] = {
    shipped.name: shipped
    for shipped in (
        Shipped(
            "breast-ultrasound-class",
            ("breast-ultrasound",),
            "benign or malignant lesion",
            "breast_ultrasound_class",
            (2,),
            detects=("malignant lesion", "benign lesion"),
        ),
        Shipped("heart-chambers", ("cardiac-mr",), "heart chambers", "heart_chambers", (2, 3)),
        # To the router such a crop is unknown, and so is a crop of anything else; in that, too, the model would find a hippocampus.
        Shipped("hippocampus", (ON_REQUEST,), "hippocampus", "hippocampus", (3,), longest_mm=100.0),
    )
}


class ShippedApplication:
    """Implements :class:`casewise.applications.Application` by the shipped model of ``CATALOGUE[name]``, loaded at the first image.

    masks : folder where a segmenter's masks are written, on the image's grid; None writes none. intended_only : whether an image
    that is unlike those that the model was trained on is refused (:mod:`casewise.applications.intended`).
    Raises UsageError for a name that is not in the catalogue.
    """

    def __init__(self, name: str, device: str = "auto", masks: str | Path | None = None, intended_only: bool = True) -> None:
        if name not in CATALOGUE:
            msg = f"casewise ships no application named {name!r}; it ships {', '.join(CATALOGUE)}."
            raise UsageError(msg)
        self.shipped = CATALOGUE[name]
        self._device = device
        self._masks = None if masks is None else Path(masks)
        self._intended_only = intended_only

    @property
    def name(self) -> str:
        return self.shipped.name

    def analyze(self, image: Image) -> list[Finding]:
        """Findings as :func:`casewise.applications.findings_of` gives them.

        Raises CasewiseError, one sentence, for an image with too many or too few axes, for one much larger than what the model was
        made for, and for one unlike its training images.
        """
        from casewise.applications.organs import findings_of

        self._check(image)
        if self._intended is not None:
            self._intended.check(image, self.name)
        prediction = self._model.predict(image, self._device)
        return findings_of(prediction, image, self.name, self._written(prediction, image))

    def refuse(self, image: Image) -> None:
        """Raises CasewiseError, one sentence, for an image that :meth:`analyze` would refuse."""
        self._check(image)
        if self._intended is not None:
            self._intended.check(image, self.name)

    @cached_property
    def _model(self) -> Model:
        from casewise.models.shipped import load

        return load(self.shipped.model)

    @cached_property
    def _intended(self) -> Intended | None:
        from casewise.applications.intended import Intended
        from casewise.models.shipped import FOLDER

        return Intended.load(FOLDER / self.shipped.model) if self._intended_only else None

    def _check(self, image: Image) -> None:
        if image.spatial_dims not in self.shipped.dimensions:
            allowed = " or ".join({2: "a picture", 3: "a volume"}[dims] for dims in self.shipped.dimensions)
            msg = f"{self.name} takes {allowed}; this image has {image.spatial_dims} axes: give it another image or application."
            raise CasewiseError(msg)
        if self.shipped.longest_mm is None:
            return
        longest = max(n * step for n, step in zip(image.spatial_shape, image.spacing, strict=True))
        if longest > self.shipped.longest_mm:
            unit = "mm" if image.header.spacing_known else "voxels"
            msg = (
                f"{self.name} takes a crop around the structure of at most {self.shipped.longest_mm:.0f} {unit} an edge; "
                f"this image is {longest:.0f} {unit} long: cut the crop out first."
            )
            raise CasewiseError(msg)

    def _written(self, prediction: Prediction, image: Image) -> dict[str, Path]:
        if self._masks is None:
            return {}
        from casewise.formats import mask_suffix, write_mask

        return {
            structure: write_mask(self._masks / f"{self.name}-{structure}{mask_suffix(image)}", mask, image)
            for structure, mask in prediction.masks().items()
            if mask.any()
        }
