"""The picture of a box and two strokes in the README: ``python -m benchmarks.interaction_picture docs/images/strokes.png``.

A slice of the MNI152 template, which comes with nilearn (its licence stands in src/casewise/demo/SOURCES.md); the object is the
corpus callosum, which is in no training of the shipped models.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageDraw
from skimage.measure import find_contours

from casewise import Image, InteractiveSegmentation

BOX = ((84, 124), (88, 172))
ON = ((100, 96), (92, 106), (90, 130), (94, 146), (101, 158), (112, 165))  # along the bow
OFF = ((98, 110), (101, 128), (109, 146))  # through what lies under it
SHOWN = (slice(66, 142), slice(62, 198))
SCALE = 4
GREEN, RED, YELLOW = (64, 200, 120), (240, 80, 80), (250, 210, 60)
Mask = npt.NDArray[np.bool_]


def middle_slice() -> npt.NDArray[np.float32]:
    """(row, column) from top to bottom and from back to front, 0 to 1."""
    from nilearn.datasets import load_mni152_template

    template = load_mni152_template(resolution=1)
    number = round(np.linalg.solve(template.affine, [2, 0, 0, 1])[0])
    grey = template.get_fdata()[number].T[::-1]
    return np.clip(grey / np.percentile(grey, 99.5), 0, 1).astype(np.float32)


def stroke(places: tuple[tuple[int, int], ...], shape: tuple[int, int]) -> Mask:
    canvas = Pillow.new("1", shape[::-1])
    ImageDraw.Draw(canvas).line([place[::-1] for place in places], fill=1, width=2)
    return np.asarray(canvas, dtype=bool)


def panel(grey: npt.NDArray[np.float32], mask: Mask, on: bool, off: bool) -> Pillow.Image:
    rows, columns = SHOWN
    small = Pillow.fromarray((255 * grey[SHOWN]).astype(np.uint8))
    picture = small.resize((small.width * SCALE, small.height * SCALE), Pillow.Resampling.BICUBIC).convert("RGB")
    draw = ImageDraw.Draw(picture)

    def at(place: npt.ArrayLike) -> tuple[float, float]:
        row, column = np.asarray(place, dtype=float)
        return (column - columns.start + 0.5) * SCALE, (row - rows.start + 0.5) * SCALE

    draw.rectangle([at(np.subtract(BOX, 0.5)[:, 0]), at(np.subtract(BOX, 0.5)[:, 1])], outline=YELLOW, width=2)
    for line in find_contours(np.pad(mask, 1).astype(float), 0.5):
        draw.line([at(place - 1) for place in line], fill=RED, width=3)
    for displayed, places, colour in ((on, ON, GREEN), (off, OFF, (90, 160, 255))):
        if displayed:
            draw.line([at(place) for place in places], fill=colour, width=6, joint="curve")
    return picture


def main() -> None:
    grey = middle_slice()
    shape = (grey.shape[0], grey.shape[1])
    session = InteractiveSegmentation(None, Image(grey[None], np.eye(4)), BOX)
    panels = [panel(grey, session.mask, on=False, off=False)]
    panels.append(panel(grey, session.add_scribbles(background=stroke(OFF, shape)), on=False, off=True))
    panels.append(panel(grey, session.add_scribbles(foreground=stroke(ON, shape)), on=True, off=True))
    width = sum(each.width for each in panels) + 8 * (len(panels) - 1)
    joined = Pillow.new("RGB", (width, panels[0].height), "white")
    for number, each in enumerate(panels):
        joined.paste(each, (number * (each.width + 8), 0))
    joined.quantize(256, dither=Pillow.Dither.NONE).save(Path(sys.argv[1]), optimize=True)


if __name__ == "__main__":
    main()
