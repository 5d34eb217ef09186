"""Lesions of the brain by several MR sequences together: where, how large, and which of the kinds that the model knows."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from casewise.errors import CasewiseError
from casewise.finding import Finding
from casewise.image import Image

if TYPE_CHECKING:
    from casewise.applications.intended import Intended
    from casewise.lesions.postprocessing import Lesions
    from casewise.models import Model

NAME = "brain-lesions"
SEQUENCES = ("FLAIR", "T1")  # those of the shipped model
MODEL = "brain_lesions"
ROUGH = (
    "The model that comes with casewise learnt from nine patients: it misses about half of the lesions, the small ones, does not "
    "know multiple sclerosis, and the kind that it names says as much of the hospital as of the disease. Train your own by "
    "`casewise train lesions`."
)
SCORED = "The map carries the score of the lesion: the numbers of the map and of each lesion are scores, not chances."
_UNIT = 100  # maps are written in hundredths: finer would be noise, and take ten times the space


class BrainLesions:
    """Implements :class:`casewise.applications.Application` by a model of `casewise train lesions`, loaded at the first image.

    model : its folder; None takes the shipped one. maps : folder where mask and maps are written, on the image's grid; None writes
    none. intended_only : whether an examination unlike those that the shipped model was trained on is refused; a model of one's own
    has no such check. notes : what was seen in the last image that whoever reads its findings must know.
    """

    name = NAME

    def __init__(
        self,
        device: str = "auto",
        maps: str | Path | None = None,
        model: str | Path | None = None,
        intended_only: bool = True,
    ) -> None:
        self._device, self._folder = device, None if model is None else Path(model)
        self._intended_only = intended_only
        self._maps = None if maps is None else Path(maps)
        self.notes: list[str] = []

    def analyze(self, image: Image) -> list[Finding]:
        """Findings as :func:`casewise.lesions.findings.findings_of` gives them.

        image : an examination's sequences, as ``header.sequences`` names its channels, or a volume of which the header or the
        file's name says which sequence it is. Raises CasewiseError, one sentence, for any other volume, which was not looked at and
        must not be reported as free of lesions; for a picture; and where the shipped model is asked for what is no brain without
        its skull or is unlike those that it was trained on.
        """
        from casewise.lesions.findings import findings_of
        from casewise.lesions.prediction import predict, sequences_of, settings_of

        self.notes = []
        if image.spatial_dims != 3:
            raise CasewiseError(f"{NAME} takes volumes; this image is a picture: give the whole series.")
        wanted = sequences_of(self._model)
        ready = image if image.header.sequences else self._single(image, wanted)
        arranged = _arranged(ready, wanted)
        self._check(arranged, wanted)
        found = predict(self._model, arranged, self._device)
        if found.missing:
            self.notes.append(f"Predicted from {', '.join(found.sequences)}; missing: {', '.join(found.missing)}.")
        if found.lesions and not found.classes and found.score is None:
            needed = ", ".join(self._for_classes(wanted))
            self.notes.append(f"The kind of a lesion is predicted from {needed} alone, which is missing.")
        if found.lesions and settings_of(self._model).map_score:
            self.notes.append(SCORED)
        if found.lesions and self._folder is None:
            self.notes.append(ROUGH)
        mask, files = self._written(found, image)
        return findings_of(found, self.name, mask, files)

    def _check(self, image: Image, wanted: tuple[str, ...]) -> None:
        """Of each sequence that is there; only the shipped model says what it is for."""
        if self._intended is None:
            return
        from casewise.applications.brain import check_brain

        absent = image.header.absent
        for number, name in enumerate(wanted):
            if name not in absent:
                one = Image(image.array[[number]], image.affine, image.header)
                self._intended.check(one, self.name)
                check_brain(one, self.name)

    @cached_property
    def _intended(self) -> Intended | None:
        from casewise.applications.intended import Intended
        from casewise.models.shipped import FOLDER

        return Intended.load(FOLDER / MODEL) if self._folder is None and self._intended_only else None

    def _single(self, image: Image, wanted: tuple[str, ...]) -> Image:
        """A volume that is of no examination, normalised as one's sequences are: named by its header, else by its file."""
        from casewise.examination.normalisation import normalised
        from casewise.examination.sequences import of_description

        described = image.header.sequence or ""
        sequence = of_description(described or (image.source.name if image.source is not None else ""))
        if image.channels != 1 or sequence not in wanted:
            said = f"is {sequence}" if sequence else "is not known"
            takes = " or ".join(wanted)
            raise CasewiseError(
                f"{NAME} takes {takes}; the sequence of this image {said}. Name it by --sequence, such as {wanted[0]}=FILE."
            )
        if not described:
            self.notes.append(f"Taken for {sequence} by the name of its file.")
        values = normalised(image.array[0].astype(np.float32), str(sequence))
        return Image(values[None], image.affine, replace(image.header, sequences=(sequence,)), image.source)

    @cached_property
    def _model(self) -> Model:
        from casewise.models import Model
        from casewise.models.shipped import load

        return load(MODEL) if self._folder is None else Model.load(self._folder)

    def _for_classes(self, names: tuple[str, ...]) -> list[str]:
        from casewise.lesions.prediction import settings_of

        return [names[number] for number in settings_of(self._model).class_sequences]

    def _written(self, found: Lesions, image: Image) -> tuple[Path | None, dict[str, Path]]:
        if self._maps is None:
            return None, {}
        from casewise import formats

        grid = Image(np.zeros((1, *image.spatial_shape), np.uint8), image.affine, image.header)
        mask = formats.write_mask(self._maps / "lesions.nii.gz", found.label_map, grid) if found.lesions else None
        files = {}
        for name, values in {"": found.map, **found.maps}.items():
            stem = f"map-{name.replace(' ', '-')}" if name else "map"
            rounded = np.rint(values * _UNIT).astype(np.float32) / _UNIT
            files[name] = formats.write(self._maps / f"{stem}.nii.gz", grid.with_array(rounded[None]))
        return mask, files


def _arranged(image: Image, wanted: tuple[str, ...]) -> Image:
    """The channels that a model takes, in its order; what is not there is 0."""
    names = image.header.sequences
    absent = image.header.absent
    own = [name for name in names if isinstance(absent, tuple) and name not in absent] if isinstance(names, tuple) else []
    places = {name: number for number, name in enumerate(names)} if isinstance(names, tuple) else {}
    nothing = np.zeros(image.spatial_shape, np.float32)
    array = np.stack([image.array[places[name]] if name in own else nothing for name in wanted])
    gone = tuple(name for name in wanted if name not in own)
    return Image(array, image.affine, replace(image.header, sequences=wanted, absent=gone), image.source)
