"""What is abnormal in a brain's FLAIR or in a chest radiograph: where it differs from what normal images would show there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError, ModelError, UsageError
from casewise.finding import Finding
from casewise.image import Image

if TYPE_CHECKING:
    from casewise.abnormality.differences import Abnormality as Compared
    from casewise.models import Model

NAME = "abnormality"
BRAIN, CHEST = "brain", "chest"
KINDS = (BRAIN, CHEST)
_APART_MM = 3.0  # between the slices of a volume that are compared

Floats = npt.NDArray[np.float32]


class Abnormality:
    """Implements :class:`casewise.applications.Application` by the shipped models, loaded at the first image.

    maps : folder where the map and the synthesised image are written, on the image's grid; None writes none. intended_only :
    whether a volume unlike the brains of the training is refused (a picture that is no chest radiograph always is). notes : what
    whoever reads the last image's findings must know.
    """

    name = NAME

    def __init__(self, device: str = "auto", maps: str | Path | None = None, intended_only: bool = True) -> None:
        self._device = device
        self._intended_only = intended_only
        self._maps = None if maps is None else Path(maps)
        self.notes: list[str] = []

    def analyze(self, image: Image) -> list[Finding]:
        """``abnormality`` of the whole image first: ``difference_times`` is how many times as large it is as is usual, in its most
        abnormal slice, and ``normal_images_below_percent`` says of how many normal images that is more. Then each part above what
        normal images show, the strongest first, with its box.

        A volume is taken for a brain's FLAIR, a picture for a chest radiograph unless its header says MR. Raises CasewiseError, one
        sentence, for another MR sequence, a brain in its skull, and a picture that is no frontal chest radiograph.
        """
        from casewise.models.shipped import load

        kind = kind_of(image)
        self.notes = []
        model = load(f"{NAME}_{kind}")
        compared = self._brain(model, image) if kind == BRAIN else self._chest(model, image)
        return [self._whole(compared, model, self._written(compared, image)), *self._parts(compared, model)]

    def _brain(self, model: Model, image: Image) -> Compared:
        from casewise.abnormality.differences import abnormality
        from casewise.applications.brain import check_brain
        from casewise.applications.intended import Intended
        from casewise.models.shipped import FOLDER

        image.check_volume("the analysis of a brain")
        _check_sequence(image)
        if self._intended_only:
            check = Intended.load(FOLDER / f"{NAME}_{BRAIN}")
            if check is not None:
                check.check(image, self.name)
            check_brain(image, self.name)
        return abnormality(model, image, self._device, apart_mm=_APART_MM)

    def _chest(self, model: Model, image: Image) -> Compared:
        from casewise.abnormality.differences import abnormality
        from casewise.applications.chest_regions import chest_regions
        from casewise.chest.region import LEFT_LUNG, RIGHT_LUNG

        found = chest_regions(image, self._device)
        self.notes += [remark.sentence for remark in found.remarks]
        lungs = [found.by_place[name] for name in (RIGHT_LUNG, LEFT_LUNG) if name in found.by_place]
        if not lungs:
            msg = "No lung was found in this radiograph, and it is lungs that are compared; look at its regions first."
            raise CasewiseError(msg)
        pose = found.pose
        grey = image.array.astype(np.float32).mean(axis=0)
        ends = float(grey.max() + grey.min())
        plane = np.ascontiguousarray(pose.upright(ends - grey if pose.inverted else grey))
        within = np.ascontiguousarray(pose.upright(np.logical_or.reduce(lungs)))
        compared = abnormality(model, Image(plane[None]), self._device, within)
        slope, shift = compared.scale
        turned = compared.turned(lambda values: np.ascontiguousarray(pose.back(values)))
        return replace(turned, scale=(-slope, ends - shift) if pose.inverted else (slope, shift))

    def _whole(self, compared: Compared, model: Model, path: Path | None) -> Finding:
        from casewise.abnormality.differences import settings_of

        usual = settings_of(model).normal
        measures = {"difference_times": round(compared.score, 3)}
        if usual:
            measures["normal_images_below_percent"] = round(100 * float(np.mean(np.asarray(usual) < compared.score)), 1)
        return Finding(self.name, NAME, map=path, measures=measures)

    def _parts(self, compared: Compared, model: Model) -> list[Finding]:
        from casewise.abnormality.differences import findings, settings_of

        threshold = settings_of(model).threshold
        if threshold is None:
            raise ModelError(f"Model {model.name} has no threshold above which a part is abnormal; train it by its recipe.")
        return findings(compared, threshold)

    def _written(self, compared: Compared, image: Image) -> Path | None:
        """The map and, beside it, the synthesised image; a picture's map in grey levels, 255 the largest difference."""
        if self._maps is None:
            return None
        from casewise.formats import mask_suffix, write, write_mask

        suffix = mask_suffix(image)
        grid = Image(np.zeros((1, *image.spatial_shape), np.uint8), image.affine, image.header)
        synthesised = compared.in_intensities_of(image)
        if image.spatial_dims == 2 and suffix in (".png", ".tif"):
            heat = np.rint(255 * compared.map / max(float(compared.map.max()), 1e-6)).astype(np.uint8)
            eight = image.array.dtype == np.uint8
            kept = np.clip(np.rint(synthesised), 0, 255 if eight else 65535).astype(np.uint8 if eight else np.uint16)
            write(self._maps / f"{self.name}-synthesised{suffix}", grid.with_array(kept[None]))
            return write_mask(self._maps / f"{self.name}-map{suffix}", heat, image)
        write(self._maps / f"{self.name}-synthesised{suffix}", grid.with_array(synthesised[None]))
        return write(self._maps / f"{self.name}-map{suffix}", grid.with_array(compared.map[None].round(2)))


def kind_of(image: Image) -> str:
    """``brain`` or ``chest``: by the route's category, the modality, or the axes. Raises UsageError for a colour volume."""
    category = (image.header.category or "").lower()
    for kind in KINDS:
        if category.startswith(kind):
            return kind
    if image.channels == 3 and image.spatial_dims == 3:
        raise UsageError(f"{NAME} takes grey volumes and pictures; this one is in colour.")
    modality = (image.header.modality or "").upper()
    return BRAIN if image.spatial_dims == 3 or modality == "MR" else CHEST


def _check_sequence(image: Image) -> None:
    from casewise.examination.sequences import of_description

    sequence = of_description(image.header.sequence or "")
    if sequence is not None and sequence != "FLAIR":
        raise CasewiseError(f"{NAME} evaluates brains by FLAIR, and this image is {sequence}; give the FLAIR of the examination.")
