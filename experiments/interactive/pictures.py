"""What the interactive models learn from: true masks, and objects that label any picture without a person.

Unions of superpixels after ScribblePrompt (Wong et al. 2023, arXiv 2312.07381), bands of intensity, and painted shapes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_fill_holes, gaussian_filter, label, zoom
from skimage.segmentation import felzenszwalb

from casewise import formats
from casewise.case import Case
from casewise.image import Image
from casewise.intensity import percentile_range, rescaled, unit_range
from casewise.routing.views import views
from experiments import datasets
from experiments.cases import chest, series_without_masks
from experiments.interactive.shapes import in_one_grey, painted, recoloured, ringed

EDGE = 192
# Of the pictures of many kinds, those whose licences let weights be passed on; the heart's MR and brains are no one's to learn.
KINDS = (
    "abdomen-mr/antillia-kidney-t2w",
    "blood-smear/bccd",
    "chest-ct/antillia-hocm",
    "chest-ct/iq-othnccd",
    "chest-xray-paediatric/arifhussain-kermany",
    "fetal-us/antillia-hc18",
    "kidney-us/antillia-kidneystone",
    "liver-us/antillia-liver",
    "mammography/antillia-mias",
    "pet-body/antillia-sts",
)
LIVER = "class 5"  # of TotalSegmentator's classes: the volumes' training leaves it out
_HEART = (51, 61)  # of TotalSegmentator's classes: no cardiac structure is ever trained on


@dataclass(frozen=True, eq=False)
class Plate:
    """A picture with what is known of it.

    picture : (row, column) float32, 0…1. objects : true masks. parts : maps of superpixels. key : of the case.
    """

    picture: np.ndarray
    objects: tuple[np.ndarray, ...]
    parts: tuple[np.ndarray, ...]
    key: str


class Tasks:
    """Draws tasks from plates. ``shares`` : of true masks, superpixels, bands of intensity, painted shapes and superpixels
    brought to one grey; ``rings`` : of the painted ones, walls around cavities, and of these, those where the wall is the object;
    ``veiled`` : chance that part of a painted object's border cannot be seen; ``lines`` : of the painted ones that are no rings,
    vessels and cells' walls.
    """

    def __init__(
        self,
        plates: Sequence[Plate],
        shares: Sequence[float] = (0.2, 0.27, 0.08, 0.35, 0.1),
        rings: tuple[float, float] = (0.5, 0.6),
        veiled: float = 0.0,
        lines: float = 0.0,
    ) -> None:
        self.rings, self.veiled, self.lines = rings, veiled, lines
        self.plates = list(plates)
        self.labelled = [plate for plate in plates if plate.objects]
        self.shares = np.asarray(shares) / np.sum(shares)

    def __call__(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(picture, object) of some size; the object has at least 20 pixels and leaves at least some of the picture."""
        while True:
            kind = int(rng.choice(5, p=self.shares))
            group = self.labelled if kind == 0 else self.plates
            plate = group[int(rng.integers(len(group)))]
            picture, mask = self._task(kind, plate, rng)
            if 20 <= mask.sum() <= 0.7 * mask.size:
                return picture, mask

    def _task(self, kind: int, plate: Plate, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        if kind == 0:
            mask = plate.objects[int(rng.integers(len(plate.objects)))]
            return ringed(plate.picture, mask, rng) if rng.random() < 0.06 else (plate.picture, mask)
        if kind == 1:
            return plate.picture, _union(plate.parts[int(rng.integers(len(plate.parts)))], rng)
        if kind == 2:
            return plate.picture, _band(plate.picture, rng)
        parts = plate.parts[int(rng.integers(len(plate.parts)))]
        picture = recoloured(plate.picture, parts, rng) if rng.random() < 0.35 else plate.picture
        if kind == 4:
            mask = _union(parts, rng)
            return (in_one_grey(picture, mask, rng) if mask.any() else picture), mask
        return painted(picture, rng, *self.rings, self.veiled, self.lines)


def _union(parts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A superpixel and some that touch it; at times also some from elsewhere, and at times the rim of the union."""
    mask = _grown(parts, rng)
    if rng.random() < 0.15:
        mask = mask | _grown(parts, rng)
    return binary_fill_holes(mask) if rng.random() < 0.7 else mask


def _grown(parts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    count = int(parts.max()) + 1
    sizes = np.bincount(parts.ravel(), minlength=count).astype(float)
    weights = np.where((sizes >= 20) & (sizes < 0.4 * parts.size), np.sqrt(sizes), 0)
    if not weights.any():
        return np.zeros(parts.shape, bool)
    mask = parts == int(rng.choice(count, p=weights / weights.sum()))
    for _ in range(int(rng.choice((0, 0, 1, 2, 3)))):
        border = np.zeros_like(mask)
        border[1:] |= mask[:-1]
        border[:-1] |= mask[1:]
        border[:, 1:] |= mask[:, :-1]
        border[:, :-1] |= mask[:, 1:]
        near = np.unique(parts[border & ~mask])
        if len(near):
            mask = mask | (parts == int(rng.choice(near)))
    return mask


def _band(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What lies between two intensities: its largest piece or a few of them."""
    smooth = gaussian_filter(picture, rng.uniform(1.2, 3.5))
    low = rng.uniform(0.0, 0.85)
    inside = (smooth > np.quantile(smooth, low)) & (smooth <= np.quantile(smooth, min(1.0, low + rng.uniform(0.1, 0.4))))
    labels, count = label(inside)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    order = np.argsort(-sizes)[: int(rng.integers(1, 6))]
    if rng.random() < 0.5:
        return labels == order[int(rng.integers(len(order)))] if count else inside
    return np.isin(labels, order[sizes[order] >= 20])


def plate(picture: np.ndarray, objects: Sequence[np.ndarray], key: str) -> Plate:
    """The picture reduced to ``EDGE`` pixels, with its superpixels at two scales."""
    factor = min(1.0, EDGE / max(picture.shape))
    if factor < 1:
        smooth = gaussian_filter(picture, 0.4 / factor)
        objects = [zoom(mask.astype(np.float32), factor, order=1) > 0.5 for mask in objects]
        picture = zoom(smooth, factor, order=1)
    picture = np.clip(picture, 0, 1).astype(np.float32)
    scales = ((60, 0.6, 20), (250, 0.9, 60))
    parts = tuple(felzenszwalb(picture, scale=s, sigma=g, min_size=m).astype(np.int32) for s, g, m in scales)
    return Plate(picture, tuple(mask for mask in objects if mask.sum() >= 20), parts, key)


def cases_without_masks() -> Iterator[Case]:
    """Images of many kinds, none of the heart's MR, of the hippocampus or of a labelled tumour set."""
    folders = [f"mednist/{name}/*" for name in ("AbdomenCT", "BreastMRI", "ChestCT", "Hand", "HeadCT")]
    rng = np.random.default_rng(0)
    for pattern, count in [*((folder, 24) for folder in folders), ("busi/*/*.png", 40), ("brain-tumour/*/*", 40)]:
        paths = datasets.files(pattern)
        for number in sorted(rng.choice(len(paths), min(count, len(paths)), replace=False)):
            yield Case.of(formats.read(paths[number]), name=datasets.name_of(paths[number]))
    yield from series_without_masks()


def more_kinds() -> Iterator[Case]:
    """Pictures of :data:`KINDS`, without masks."""
    for folder in KINDS:
        for path in datasets.files(f"kinds/{folder}/**/*.jp*g"):
            yield Case.of(formats.read(path), name=datasets.name_of(path))


def labelled_cases(held_out: int = 3) -> tuple[list[Case], list[Case]]:
    """(trained on, held out): radiographs with lungs, a CT with its organs, a FLAIR with its lesions; every ``held_out``-th patient
    of the radiographs is held out.
    """
    films = [case for site in ("shenzhen", "montgomery") for case in chest(site)]
    aside = {case.key for number, case in enumerate(films) if number % held_out == 0}
    return [case for case in films if case.key not in aside] + [*organs(), *sclerosis()], [c for c in films if c.key in aside]


def organs() -> Iterator[Case]:
    """A CT with its organs, the heart left out."""
    image = formats.read(datasets.path("totalseg-example/example_ct_sm.nii.gz"))
    labels = formats.read(datasets.path("totalseg-example/example_seg.nii.gz")).array[0]
    names = [int(n) for n in np.unique(labels) if n > 0 and not _HEART[0] <= n <= _HEART[1]]
    yield Case.of(image, {f"class {n}": labels == n for n in names}, name="totalseg-example")


def sclerosis() -> Iterator[Case]:
    """One patient's MR; lesions are marked on FLAIR."""
    for folder in datasets.files("open-ms/*/"):
        mask = next(folder.glob("GOLD_STANDARD*.nii.gz"))
        for sequence in ("FLAIR", "T1_", "T2_"):
            path = next(folder.glob(f"{sequence}*.nii.gz"))
            image = formats.read(path)
            masks = {"lesion": formats.read_mask(mask, image)} if sequence == "FLAIR" else {}
            yield Case.of(image, masks, name=datasets.name_of(path))


def plates_of(case: Case, count: int = 6) -> list[Plate]:
    """A picture's plate, or plates of a volume's slices along each axis; slices with an object first."""
    image = case.image
    masks = {name: load() for name, load in case.load_masks.items()}
    if image.spatial_dims == 2:
        # Radiographs: either lung alone too, as a reader would ask for it.
        objects = [part for mask in masks.values() for part in [mask, *_pieces(mask)]]
        picture = views(image)[0]
        return [plate(picture, objects, case.key)] if picture.shape == image.spatial_shape else _cropped(image, case)
    made = []
    longest = int(np.argmax(image.spacing))
    axes = (0, 1, 2) if max(image.spacing) < 1.5 * min(image.spacing) else (longest,)
    low, high = percentile_range(image.array[0], (1, 99.5))
    if image.array.min() < -500:  # CT: soft tissue
        low, high = -160.0, 240.0
    volume = rescaled(image.array[0], low, high)
    for axis in axes:
        full = volume.shape[axis]
        filled = [k for k in range(full) if any(mask.take(k, axis).sum() >= 20 for mask in masks.values())]
        chosen = filled or list(range(int(0.15 * full), int(0.85 * full)))
        for k in np.unique(np.linspace(0, len(chosen) - 1, min(count, len(chosen))).astype(int)):
            k = chosen[k]
            picture = volume.take(k, axis)
            if picture.std() > 0.02 and min(picture.shape) >= 24:
                made.append(plate(picture, [mask.take(k, axis) for mask in masks.values()], case.key))
    return made


def _cropped(image: Image, case: Case) -> list[Plate]:
    """A picture whose empty border ``views`` cut off: its masks would no longer fit, so it is taken as it is."""
    grey = image.array.mean(axis=0)
    masks = [load() for load in case.load_masks.values()]
    return [plate(unit_range(grey), [part for mask in masks for part in [mask, *_pieces(mask)]], case.key)]


def _pieces(mask: np.ndarray) -> list[np.ndarray]:
    labels, count = label(mask)
    return [labels == n for n in range(1, count + 1) if (labels == n).sum() >= 200] if count > 1 else []
