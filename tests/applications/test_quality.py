"""Image quality: real images that are good pass, the same images after damage do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from scipy import ndimage

from casewise.applications.contract import Application
from casewise.applications.planes import Kind, kind_of
from casewise.applications.quality import Quality
from casewise.errors import CasewiseError
from casewise.formats import read
from casewise.header import Header
from casewise.image import Image

Pixels = npt.NDArray[np.float32]


def labels(image: Image) -> set[str]:
    quality = Quality()
    findings = quality.analyze(image)
    assert isinstance(quality, Application)
    assert len(quality.notes) == len(findings)
    assert all(note.endswith(".") for note in quality.notes)
    assert all(finding.application == "quality" and finding.measures for finding in findings)
    assert all(np.isfinite(list(finding.measures.values())).all() for finding in findings)
    return {finding.label for finding in findings}


def of(path: Path, category: str) -> Image:
    image = read(path)
    return replace(image, header=replace(image.header, category=category))


def changed(image: Image, change: Callable[[Pixels], npt.NDArray[np.generic]]) -> Image:
    return Image(np.asarray(change(image.array[0].astype(np.float32)))[None], image.affine, image.header)


def written_on(pixels: Pixels) -> Pixels:
    picture = Pillow.fromarray(pixels)
    font = ImageFont.load_default(pixels.shape[0] / 30)
    ImageDraw.Draw(picture).text((pixels.shape[1] * 0.05, pixels.shape[0] * 0.04), "SMITH JOHN 1961", float(pixels.max()), font)
    return np.asarray(picture)


def noisy(pixels: Pixels) -> Pixels:
    return pixels + np.random.default_rng(0).normal(0, 0.1 * np.ptp(pixels), pixels.shape).astype(np.float32)


DAMAGE: dict[str, Callable[[Pixels], Pixels]] = {
    "blurred": lambda pixels: ndimage.gaussian_filter(pixels, max(pixels.shape) / 128),
    "noisy": noisy,
    "wrong polarity": lambda pixels: pixels.max() - pixels,
    "burnt-in text": written_on,
    "clipped": lambda pixels: np.clip(pixels, np.percentile(pixels, 25), np.percentile(pixels, 80)),
    "cropped": lambda pixels: pixels[:, int(0.27 * pixels.shape[1]) :],
}
# Of 12 images, how many must be reported after the damage.
LEAST = {"blurred": 12, "noisy": 12, "wrong polarity": 12, "burnt-in text": 11, "clipped": 11, "cropped": 8}


@pytest.fixture(scope="module")
def chests(shared_data: Path) -> list[Image]:
    """Twelve good ones, six each of two hospitals on two continents."""
    paths = [path for place in ("shenzhen", "montgomery") for path in sorted((shared_data / place / "images").iterdir())[::10][:6]]
    return [of(path, "chest X-ray") for path in paths]


@pytest.mark.shared
def test_good_chest_radiographs_pass(chests: list[Image]) -> None:
    assert [labels(image) for image in chests] == [set()] * len(chests)


@pytest.mark.shared
@pytest.mark.parametrize("defect", list(DAMAGE))
def test_damaged_chest_radiographs_do_not(chests: list[Image], defect: str) -> None:
    reported = sum(defect in labels(changed(image, DAMAGE[defect])) for image in chests)
    assert reported >= LEAST[defect], f"{reported} of {len(chests)}"


@pytest.mark.shared
def test_whole_heads_pass_and_cut_ones_do_not(shared_data: Path) -> None:
    images = [of(path, "head CT") for path in sorted((shared_data / "mednist" / "HeadCT").iterdir())[::40]]
    false = sum("cropped" in labels(image) for image in images)
    reported = sum("cropped" in labels(changed(image, lambda pixels: pixels[:, int(0.4 * pixels.shape[1]) :])) for image in images)
    assert false <= 1
    assert reported >= 0.8 * len(images)


@pytest.mark.shared
def test_hands_that_are_inverted_are_reported(shared_data: Path) -> None:
    images = [of(path, "hand X-ray") for path in sorted((shared_data / "mednist" / "Hand").iterdir())[::40]]
    false = sum("wrong polarity" in labels(image) for image in images)
    reported = sum("wrong polarity" in labels(changed(image, DAMAGE["wrong polarity"])) for image in images)
    assert false <= 1
    assert reported >= 0.8 * len(images)


@pytest.mark.shared
@pytest.mark.parametrize("pattern", ["brats-cbica/*/*flair*", "wmh/*/*", "acdc/*001*.h5", "busi/normal/*(1).png"])
def test_other_kinds_pass(shared_data: Path, pattern: str) -> None:
    paths = [path for path in sorted(shared_data.glob(pattern)) if "mask" not in path.name][:2]
    category = "breast ultrasound" if "busi" in pattern else "MR"
    for path in paths:
        image = read(path, member="image") if path.suffix == ".h5" else read(path)
        assert labels(replace(image, header=replace(image.header, category=category))) == set()


def test_text_lies_in_its_box() -> None:
    ground = ndimage.gaussian_filter(np.random.default_rng(0).normal(0, 1, (600, 600)), 12).astype(np.float32)
    image = Image(written_on(ground / np.ptp(ground))[None], header=Header(category="unknown"))
    (finding,) = [finding for finding in Quality().analyze(image) if finding.label == "burnt-in text"]
    assert finding.box is not None
    (top, bottom), (left, right) = finding.box.to_json()
    assert 15 <= top < bottom <= 60
    assert 25 <= left < 60 < 150 < right < 260


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ({"category": "chest X-ray"}, Kind.CHEST_RADIOGRAPH),
        ({"category": "chest_xray"}, Kind.CHEST_RADIOGRAPH),
        ({"category": "hand-x-ray"}, Kind.RADIOGRAPH),
        ({"category": "head CT"}, Kind.CT),
        ({"category": "breast ultrasound"}, Kind.ULTRASOUND),
        ({"category": "unknown", "modality": "MR"}, Kind.MR),
        ({"modality": "DX", "body_part": "CHEST"}, Kind.CHEST_RADIOGRAPH),
        ({"modality": "DX", "body_part": "HAND"}, Kind.RADIOGRAPH),
        ({}, Kind.OTHER),
    ],
)
def test_the_kind_is_known_by_category_or_modality(header: dict[str, object], kind: Kind) -> None:
    assert kind_of(Image(np.zeros((1, 9, 9)), header=header)) is kind


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 200, 30), (1, 64, 64, 1), (1, 9, 300, 12), (1, 400, 8)])
@pytest.mark.parametrize("value", [0.0, np.nan, "ramp"])
def test_odd_images_are_scored_without_a_stumble(shape: tuple[int, ...], value: float | str) -> None:
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) if value == "ramp" else np.full(shape, value, np.float32)
    for category in ("chest X-ray", "head CT", "unknown"):
        found = labels(Image(array, header=Header(category=category)))
        assert found == {"blank"} if value == 0.0 else found <= {*DAMAGE}


def test_an_image_that_is_too_small_is_refused() -> None:
    with pytest.raises(CasewiseError, match="at least 8 pixels"):
        Quality().analyze(Image(np.zeros((1, 4, 90))))


@pytest.mark.parametrize("shape", [(1, 256, 256), (3, 64, 64), (1, 40, 40, 6)])
def test_an_image_of_one_value_is_blank_and_nothing_else(shape: tuple[int, ...]) -> None:
    application = Quality()
    (finding,) = application.analyze(Image(np.full(shape, 7, np.float32)))
    assert finding.label == "blank" and finding.kind == "quality"
    assert application.notes == ["The image has one value throughout: it shows nothing."]
