"""The tasks of the interaction benchmark: an image, an object, and where there are some an expert's own strokes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from casewise import formats
from casewise.case import Case
from casewise.image import Box, Image
from experiments import datasets
from experiments.cases import cardiac, chest, hippocampus, lesions
from experiments.interactive.pictures import LIVER, organs

HELD_OUT = 3  # every third radiograph of a site is kept from the training of the shipped model


@dataclass(frozen=True, eq=False)
class Task:
    """image : one channel. truth : (*spatial) bool. expert : (foreground, background) strokes of a person. seen : whether the model
    was trained on objects of this kind, of other patients.
    """

    name: str
    group: str
    structure: str
    patient: str
    image: Image
    truth: np.ndarray
    seen: bool = False
    expert: tuple[np.ndarray, np.ndarray] | None = None


def box_of(task: Task, seed: int) -> Box:
    """The true tight box, each side pushed out at random: 0–10 pixels; in volumes 0–5 in plane and 0–2 across the coarsest axis."""
    tight = Box.around(task.truth)
    if tight is None:
        msg = f"{task.name} has no object."
        raise ValueError(msg)
    rng = generator(seed, task.name, 0)
    axis = int(np.argmax(task.image.spacing)) if task.truth.ndim == 3 else -1
    most = [2 if n == axis else 5 if task.truth.ndim == 3 else 10 for n in range(task.truth.ndim)]
    lower = [max(0, low - int(rng.integers(m + 1))) for low, m in zip(tight.lower, most, strict=True)]
    upper = [min(n, high + int(rng.integers(m + 1))) for high, m, n in zip(tight.upper, most, task.truth.shape, strict=True)]
    return Box(tuple(lower), tuple(upper))


def generator(seed: int, name: str, round_: int) -> np.random.Generator:
    """All that is random comes from (seed, task, round)."""
    return np.random.default_rng([seed, round_, *name.encode()])


def heart(patients: int = 10, middle_alone: bool = False) -> Iterator[Task]:
    """ACDC, end of diastole: the second slice from the base and the middle one; each structure of 30 pixels or more."""
    cases = [case for case in cardiac() if case.name.endswith("frame01.h5")][:patients]
    for case in cases:
        labels = {name: case.load_masks[name]() for name in ("right_ventricle", "myocardium", "left_ventricle")}
        strokes = {
            value: formats.read_mask(datasets.path(case.name), case.image, member="scribble", value=value) for value in range(4)
        }
        filled = np.flatnonzero(labels["myocardium"].any(axis=(0, 1)))
        sizes = labels["left_ventricle"].sum(axis=(0, 1)) + labels["myocardium"].sum(axis=(0, 1))
        third = max(1, len(filled) // 3)
        rising = sizes[filled[:third]].sum() > sizes[filled[-third:]].sum()  # the base is the thicker end
        second = int(filled[1] if rising else filled[-2])
        central = int(filled[len(filled) // 2])
        for place in (central,) if middle_alone else dict.fromkeys((second, central)):
            image = Image(case.image.array[..., place], header=case.image.header)
            for value, (name, volume) in enumerate(labels.items(), start=1):
                truth = volume[..., place]
                if truth.sum() >= 30:
                    mine = strokes[value][..., place]
                    others = np.any([strokes[v][..., place] for v in range(4) if v != value], axis=0)
                    expert = (mine, others) if mine.any() else None
                    yield Task(f"{case.name} {place} {name}", "heart", name, str(case.subject), image, truth, expert=expert)


def films(count: int = 6) -> Iterator[Task]:
    """Radiographs at 256 pixels: JSRT's heart (never trained on), and lungs of a new country (JSRT) and of patients held out."""
    for case in _spread(chest("jsrt"), count):
        image = _smaller(case.image, case.image.spatial_shape[0] // 256)
        for structure, seen in (("heart", False), ("left_lung", True)):
            truth = _reduced(case.load_masks[structure](), image)
            yield Task(f"{case.name} {structure}", "films", structure, str(case.subject), image, truth, seen)
    films = [case for site in ("shenzhen", "montgomery") for case in chest(site)]
    held = [case for number, case in enumerate(films) if number % HELD_OUT == 0]
    for case in _spread(held, count):
        image = _smaller(case.image, case.image.spatial_shape[0] // 256)
        truth = _reduced(case.load_masks["lung"](), image)
        yield Task(f"{case.name} lungs", "films", "lungs", str(case.subject), image, truth, True)


def lesion_slices() -> Iterator[Task]:
    """FLAIR: the slice where glioma (whole tumour) and white-matter lesions are largest, and for glioma one half as large."""
    for case in lesions():
        if case.site == "open-ms":  # the model was trained on it
            continue
        truth = case.load_masks["lesion"]()
        axis = int(np.argmax(case.image.spacing)) if case.site == "wmh" else 2
        areas = truth.sum(axis=tuple(n for n in range(3) if n != axis))
        order = np.argsort(-areas, kind="stable")
        chosen = [int(order[0])] + ([int(order[np.count_nonzero(areas) // 2])] if case.site == "brats-cbica" else [])
        for place in chosen:
            image = Image(np.take(case.image.array, place, axis + 1).astype(np.float32))
            name = "glioma" if case.site == "brats-cbica" else "white_matter_lesions"
            yield Task(f"{case.name} {place}", "lesions", name, str(case.subject), image, np.take(truth, place, axis))


def hippocampi(count: int = 6) -> Iterator[Task]:
    """T1 crops, 1 mm: both labels merged."""
    for case in _spread(hippocampus(), count):
        yield Task(case.name, "hippocampus", "hippocampus", str(case.subject), case.image, case.load_masks["hippocampus"]())


def tumours() -> Iterator[Task]:
    """Whole tumour on FLAIR, 1 mm."""
    for case in lesions():
        if case.site == "brats-cbica":
            yield Task(f"{case.name} 3D", "tumour", "tumour", str(case.subject), case.image, case.load_masks["lesion"]())


def liver() -> Iterator[Task]:
    """A CT of 3 mm: the liver as another network outlined it. Other organs of this CT are objects of the training, as is the liver
    on slices of it of the training for pictures, but not of that for volumes.
    """
    for case in organs():
        yield Task(f"{case.name} liver", "liver", "liver", str(case.name), case.image, case.load_masks[LIVER]())


def _spread(cases: list[Case], count: int) -> list[Case]:
    return [cases[n] for n in np.unique(np.linspace(0, len(cases) - 1, min(count, len(cases))).astype(int))]


def _reduced(mask: np.ndarray, image: Image) -> np.ndarray:
    factors = [n // m for n, m in zip(mask.shape, image.spatial_shape, strict=True)]
    return mask[factors[0] // 2 :: factors[0], factors[1] // 2 :: factors[1]][: image.spatial_shape[0], : image.spatial_shape[1]]


def _smaller(image: Image, factor: int) -> Image:
    array = image.array.astype(np.float32)
    rows, columns = (n // factor for n in image.spatial_shape)
    cut = array[:, : rows * factor, : columns * factor].reshape(len(array), rows, factor, columns, factor)
    return Image(cut.mean(axis=(2, 4)))
