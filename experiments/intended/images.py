"""The images by which is set what a shipped model is for: its own, and images of everything else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from casewise import formats
from casewise.applications.intended import NETWORK, Matrix, features_of, informative_views
from casewise.errors import CasewiseError
from casewise.formats.found import Found
from casewise.image import Image
from casewise.models.shipped import load
from experiments import datasets, store

WORK = store.WORK / "intended"
MOST = 60  # of a foreign source
# Kind → patterns of its own training images, each with what names the group that is left out together.
_OWN: dict[str, tuple[tuple[str, Callable[[Path], str]], ...]] = {
    "chest": (("shenzhen/images/*.png", lambda path: "Shenzhen"), ("montgomery/images/*.png", lambda path: "Montgomery")),
    "breast-ultrasound": (
        ("busi/*/*.png", lambda path: path.stem),
        ("structures/breast-ultrasound/images/*.jpg", lambda path: path.stem),
    ),
    "heart": (("acdc/*.h5", lambda path: path.stem.split("_")[0]),),
    "hippocampus": (("hippocampus/images/*.nii.gz", lambda path: path.stem),),
    "brain": (
        ("wmh/*/t2flair-stripped.nii.gz", lambda path: path.parent.name),
        ("brats-cbica/*/FLAIR.nii.gz", lambda path: path.parent.name),
        ("brats-cbica/*/T1.nii.gz", lambda path: path.parent.name),
        ("open-ms/*/FLAIR_N4*.nii.gz", lambda path: path.parent.name),
        ("open-ms/*/T1_N4*.nii.gz", lambda path: path.parent.name),
    ),
}
# Foreign sources: name → pattern. A kind is not foreign to what its name holds.
_FOREIGN = {
    "heart acdc": "acdc/*.h5",
    "hippocampus": "hippocampus/images/*.nii.gz",
    "breast-ultrasound busi": "busi/*/*.png",
    "chest shenzhen": "shenzhen/images/*.png",
    "brain wmh": "wmh/*/t2flair-stripped.nii.gz",
    "brain brats": "brats-cbica/*/[FT]*.nii.gz",
    "brain open-ms": "open-ms/*/*_N4*_regtoMNI.nii.gz",
    "abdomen-ct mednist": "mednist/AbdomenCT/*.jpeg",
    "breast-mr mednist": "mednist/BreastMRI/*.jpeg",
    "chest mednist": "mednist/CXR/*.jpeg",
    "chest-ct mednist": "mednist/ChestCT/*.jpeg",
    "hand mednist": "mednist/Hand/*.jpeg",
    "brain-ct mednist": "mednist/HeadCT/*.jpeg",
    "brain-ct haemorrhage": "head-ct-hemorrhage/**/*.jpg",
    "food": "brain-tumour/*/*.jpg",
    "brain-mr pyradiomics": "pyradiomics-mr/brain*_image.nrrd",
    "breast-mr pyradiomics": "pyradiomics-mr/breast*_image.nrrd",
    "abdomen-ct totalseg": "totalseg-example/example_ct*.nii.gz",
    "abdomen-mr totalseg": "totalseg-example/example_mr*.nii.gz",
    "nuclei dsb2018": "structures/dsb2018/images/*",
    "nuclei gbm": "structures/nuclei-gbm/images/*",
    "membranes": "structures/em-membrane/images/*",
    "retina vessels": "structures/retina/images/*",
    "wounds": "structures/wound/images/*",
}
# What else a kind is not foreign to: of another site, another age, with the skull, or of the same organ.
_KIN = {
    "chest": ("chest-xray",),
    "breast-ultrasound": (),
    "heart": ("cardiac-mr",),
    "hippocampus": (),
    "brain": ("brain-mr", "brain-ct", "brain-t1"),
}


@dataclass(frozen=True, eq=False)
class Shown:
    """An image's features (views, features). group : its site or patient; a foreign image's kind. source, name : where it is from.

    volume : whether it has three axes.
    """

    source: str
    name: str
    group: str
    features: Matrix
    volume: bool = False


def own(kind: str, seen: Callable[[Image], Matrix]) -> list[Shown]:
    """seen : the features of an image."""
    found = []
    for pattern, group in _OWN[kind]:
        for path in datasets.files(pattern):
            image = formats.read(path, "image" if path.suffix == ".h5" else None)
            source = datasets.name_of(path).split("/")[0]
            found.append(Shown(source, datasets.name_of(path), group(path), seen(image), image.spatial_dims == 3))
    return found


def foreign(kind: str) -> list[Shown]:
    """Images of every other kind."""
    return [image for image in _foreign() if not is_kin(kind, image.source)]


def is_kin(kind: str, source: str) -> bool:
    return source.split(" ")[0] in (kind, *_KIN[kind]) or any(source.split(" ")[0].startswith(kin) for kin in _KIN[kind])


@cache
def _foreign() -> tuple[Shown, ...]:
    """Kept on disk: to read fourteen hundred images takes minutes."""
    place = WORK / f"foreign-{load(NETWORK).key}.npz"
    if not place.exists():
        found = []
        for source, name, image in foreign_images():
            try:
                found.append((source, name, image.spatial_dims == 3, features_of(informative_views(image))))
            except CasewiseError:
                continue  # it shows nothing: refused by every application
        about = json.dumps([(source, name, volume, len(views)) for source, name, volume, views in found])
        WORK.mkdir(parents=True, exist_ok=True)
        np.savez(place, about=np.array(about), features=np.concatenate([views for *_, views in found]))
    with np.load(place) as kept:
        entries, features = json.loads(str(kept["about"])), kept["features"]
    ends = np.cumsum([count for *_, count in entries])
    return tuple(
        Shown(source, name, source.split(" ")[0], features[end - count : end], volume)
        for (source, name, volume, count), end in zip(entries, ends, strict=True)
    )


def foreign_images() -> Iterator[tuple[str, str, Image]]:
    """(source, name, image) of everything at hand, at most ``MOST`` of a source, then of pictures of nothing."""
    patterns = dict(_FOREIGN)
    for folder in datasets.files("kinds/*/*/"):
        patterns[f"{folder.parent.name} {folder.name}"] = f"kinds/{folder.parent.name}/{folder.name}/**/*.jp*g"
    for source, pattern in patterns.items():
        paths = [path for path in datasets.files(pattern) if path.is_file() and "GOLD" not in path.name]
        step = max(1, len(paths) // MOST)
        for path in paths[::step][:MOST]:
            try:
                yield source, datasets.name_of(path), formats.read(path, "image" if path.suffix == ".h5" else None)
            except CasewiseError:
                continue
    for folder in sorted(path for path in (datasets.path("prostatex")).glob("*/*/*") if path.is_dir()):
        for series in formats.scan(folder):
            if isinstance(series, Found):
                yield "prostate-mr prostatex", folder.name, formats.read(series.path, series.member)
    yield from made_up()


def made_up() -> Iterator[tuple[str, str, Image]]:
    """Noise, smooth noise, one value throughout, and balls in balls, as pictures and as volumes."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    for number in range(12):
        for shape in ((200, 240), (64, 64, 20), (160, 192, 24)):
            noise = rng.normal(size=shape).astype(np.float32)
            axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
            radius = np.linalg.norm(np.stack(axes, -1) * (1 + rng.random(len(shape))), axis=-1)
            balls = 100.0 * (radius < 0.8) + 50.0 * (radius < 0.4 * rng.random()) + noise * 3 * (number % 4)
            name = f"{number} {'×'.join(map(str, shape))}"
            yield "noise", name, Image(noise[None])
            yield "smooth-noise", name, Image(gaussian_filter(noise, 1 + number)[None])
            yield "one-value", name, Image(np.full((1, *shape), number, np.float32))
            yield "balls", name, Image(balls.astype(np.float32)[None])
