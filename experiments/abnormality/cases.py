"""The images of ``abnormality.py``: FLAIR slices by patient, normal ones and ones with lesions, and chest radiographs by site."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from casewise.abnormality.inpainting import WITHIN
from casewise.case import Case, Structure
from casewise.image import Image
from casewise.models.preparation import Preparation
from experiments import cases as _cases

LESION, LUNG = Structure("lesion", ("lesion",)), Structure("lung", ("lung",))
_MILLIMETRES = 4.0  # between a volume's slices, as far as they are thinner
_SHOWN = 0.08  # of a slice that is looked at
_LEAST = 5  # lesion pixels from which a slice has a lesion; between 1 and this it is neither
_CHEST = 256  # pixels
PATIENT_FOLDS = 3


@dataclass(frozen=True, eq=False)
class Patient:
    """image : (1, row, column, slice), the slices some mm apart, rows to posterior and columns to the left. lesion, on its grid."""

    subject: str
    site: str
    image: Image
    lesion: np.ndarray

    def normal(self) -> list[int]:
        return [n for n in range(self.lesion.shape[-1]) if not self.lesion[..., n].any()]

    def ill(self) -> list[int]:
        return [n for n in range(self.lesion.shape[-1]) if self.lesion[..., n].sum() >= _LEAST]


def patients() -> list[Patient]:
    return [_patient(case) for case in _cases.lesions()]


def _patient(case: Case) -> Patient:
    image = case.image
    whole = Preparation(2, (96, 96), intensity="none")
    parts = whole.parts(image)
    pieces = whole.label_parts(case.label_map([LESION]), image)
    thickness = max(image.spacing) if max(image.spacing) > 2 else min(image.spacing)
    step = max(1, round(_MILLIMETRES / thickness))
    low = min(float(part.array.min()) for part in parts)
    numbers = [n for n in range(0, len(parts), step) if float((parts[n].array > low).mean()) > _SHOWN]
    array = np.stack([_half(parts[n].array[0]) for n in numbers], axis=-1)
    lesion = np.stack([_half((pieces[n] > 0).astype(np.float32)) >= 0.5 for n in numbers], axis=-1)
    affine = np.array([[0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, max(4.0, thickness), 0], [0, 0, 0, 1]], float)
    return Patient(str(case.subject), str(case.site), Image(array[None], affine), lesion)


def _half(plane: np.ndarray) -> np.ndarray:
    """Fewer than 260 pixels an edge: finer ones are averaged two by two."""
    if max(plane.shape) < 260:
        return np.ascontiguousarray(plane, np.float32)
    return functional.avg_pool2d(torch.from_numpy(np.ascontiguousarray(plane, np.float32))[None], 2)[0].numpy()


def folds(everyone: list[Patient]) -> list[list[int]]:
    """Numbers of the patients of each fold; every site is spread over all of them."""
    found: list[list[int]] = [[] for _ in range(PATIENT_FOLDS)]
    for place, number in enumerate(sorted(range(len(everyone)), key=lambda n: (everyone[n].site, everyone[n].subject))):
        found[place % PATIENT_FOLDS].append(number)
    return found


def normal_case(patient: Patient) -> Case:
    """The lesion-free slices as one volume."""
    return Case.of(
        patient.image.with_array(patient.image.array)
        if not patient.ill()
        else Image(patient.image.array[..., patient.normal()], patient.image.affine),
        subject=patient.subject,
        site=patient.site,
    )


def chests(site: str) -> list[Case]:
    """Radiographs with 256 pixels an edge; what is looked at is a smooth outline of both lungs (the mask ``within``)."""
    made = []
    for case in _cases.chest(site):
        image = functional.interpolate(
            torch.from_numpy(case.image.array[:1].astype(np.float32))[None], size=(_CHEST, _CHEST), mode="bilinear", antialias=True
        )[0].numpy()
        mask = torch.from_numpy((case.label_map([LUNG]) > 0).astype(np.float32))[None, None]
        lung = functional.interpolate(mask, size=(_CHEST, _CHEST), mode="nearest-exact")[0, 0].numpy() > 0.5
        made.append(
            Case.of(Image(image), {WITHIN: lung}, category=case.category, subject=case.subject, site=case.site, name=case.name)
        )
    return made
