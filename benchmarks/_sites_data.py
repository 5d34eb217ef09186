"""The cases of ``sites.py``: small pictures of three sites a task, parted by patient into those trained on and those tested on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from casewise.case import Case, Structure
from casewise.image import Image
from casewise.intensity import unit_range
from casewise.models.preparation import Preparation
from experiments import cases as _cases

SITES = {"lungs": ("jsrt", "shenzhen", "montgomery"), "lesions": ("brats-cbica", "wmh", "open-ms")}
TARGETS = {"lungs": Structure("lungs", ("lung", "left_lung", "right_lung")), "lesions": Structure("lesion", ("lesion",))}
SIZE = 96
PREPARATION = Preparation(2, (SIZE, SIZE), intensity="window", window=(0.0, 1.0))
_STORED = 160  # pixels: what is read once and kept
_MILLIMETRES = 6.0  # between the slices that are taken of a volume
_SHOWN = 0.05  # a slice that shows less brain is left out


@dataclass(frozen=True)
class Site:
    """training, tests : cases of different patients; a test case is a picture, or a patient's slices together."""

    name: str
    training: list[Case]
    tests: list[Case]


def sites(task: str, fold: int) -> dict[str, Site]:
    """The task's sites. fold : which patients are tested on; of a site with a single one, none is."""
    return {name: _lungs(name, fold) if task == "lungs" else _lesions(name, fold) for name in SITES[task]}


_kept: dict[str, list[Case]] = {}


def _lungs(name: str, fold: int) -> Site:
    if name not in _kept:
        _kept[name] = [_small(case) for case in _cases.chest(name)]
    cases = _kept[name]
    order = np.random.default_rng(5).permutation(len(cases))
    tested = {int(n) for n in order[fold::4]}
    return Site(name, [c for n, c in enumerate(cases) if n not in tested], [c for n, c in enumerate(cases) if n in tested])


def _small(case: Case) -> Case:
    """The picture and its lungs' mask with ``_STORED`` pixels an edge."""
    mask = case.label_map([TARGETS["lungs"]]) > 0
    image = _fitted(torch.from_numpy(case.image.array[:1].astype(np.float32)), "bilinear").numpy()
    small = _fitted(torch.from_numpy(mask.astype(np.float32))[None], "nearest-exact")[0].numpy() > 0.5
    return Case.of(Image(_scaled(image)), {"lung": small}, site=case.site, subject=case.subject, name=case.name)


def _fitted(array: torch.Tensor, mode: str) -> torch.Tensor:
    smooth = {"antialias": True} if mode == "bilinear" else {}
    return functional.interpolate(array[None], size=(_STORED, _STORED), mode=mode, **smooth)[0]


def _lesions(name: str, fold: int) -> Site:
    """Every second patient is tested on."""
    if name not in _kept:
        _kept[name] = [_stack(case) for case in _cases.lesions() if case.site == name]
    patients = _kept[name]
    tests = [case for n, case in enumerate(patients) if n % 2 == fold % 2] if len(patients) > 1 else []
    training = [piece for case in patients if case not in tests for piece in _slices(case)]
    return Site(name, training, tests)


def _stack(case: Case) -> Case:
    """Axial slices of the volume, ``_MILLIMETRES`` apart or as they are, rows to posterior and columns to the left."""
    image = case.image
    whole = Preparation(2, (SIZE, SIZE), intensity="none")
    parts = whole.parts(image)
    labels = whole.label_parts(case.label_map([TARGETS["lesions"]]), image)
    thickness = max(image.spacing) if max(image.spacing) > 2 else min(image.spacing)
    step = max(1, round(_MILLIMETRES / thickness)) if thickness < _MILLIMETRES else 1
    numbers = [n for n in range(0, len(parts), step) if float((parts[n].array[0] > parts[n].array.min()).mean()) > _SHOWN]
    array = np.stack([parts[n].array[0] for n in numbers], axis=-1).astype(np.float32)
    mask = np.stack([labels[n] > 0 for n in numbers], axis=-1)
    affine = np.array([[0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, 8, 0], [0, 0, 0, 1]], float)
    return Case.of(Image(_scaled(array)[None], affine), {"lesion": mask}, site=case.site, subject=case.subject, name=case.name)


def _slices(case: Case) -> list[Case]:
    """Pictures of one patient's slices."""
    image, mask = case.image, case.label_map([TARGETS["lesions"]]) > 0
    return [
        Case.of(Image(image.array[..., n]), {"lesion": mask[..., n]}, site=case.site, subject=case.subject, name=f"{case.name}:{n}")
        for n in range(mask.shape[-1])
    ]


def _scaled(array: np.ndarray) -> np.ndarray:
    """0…1 by the percentiles of the whole image, so that a volume's slices keep their scale when each is a case."""
    return unit_range(array)
