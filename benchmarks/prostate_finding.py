"""Where a known finding of a prostate examination lies on each sequence.

The examination's DICOM folder is read, registered and brought to the grid of its T2 as ``casewise analyze FOLDER`` does. The
finding's position is stated in the scanner's coordinates by PROSTATEx' own table (patient 0000, finding 1, peripheral zone,
significant). The picture, ``.work/prostate_finding/prostate_finding.png`` (it shows a patient's images and is not kept here), has a
tile a sequence: the transverse slice through the position, 80 mm wide, the position circled. The table says how far registration
moved each sequence there. No outline of this prostate is at hand: whether the position lies in it is for the eye.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw
from scipy.ndimage import map_coordinates

from benchmarks import driver
from benchmarks.tables import table
from casewise.examination.examination import Examination, examination
from casewise.intensity import unit_range
from experiments import datasets, store

FINDING = np.array([25.7457, 31.8707, -38.511])  # LPS mm
_HALF, _TILE = 40.0, 300  # mm, pixels


def tile(found: Examination, name: str) -> Pillow.Image:
    """The slice through the finding, 80 mm wide, patient's right on the left, the position circled."""
    image = found.registered(name)
    centre = np.linalg.inv(image.affine) @ [*(FINDING * [-1, -1, 1]), 1]
    steps = np.linspace(-_HALF, _HALF, _TILE)
    right, down = np.meshgrid(steps, steps)
    directions = np.linalg.inv(image.affine[:3, :3])
    moves = np.stack([-right, -down, np.zeros_like(right)])  # RAS mm: columns run to the patient's left, rows to the back
    index = centre[:3, None, None] + np.einsum("ij,jrc->irc", directions, moves)
    values = map_coordinates(image.array[0].astype(np.float32), index, order=1, mode="nearest")
    grey = (255 * unit_range(values, (1, 99.5))).astype(np.uint8)
    picture = Pillow.fromarray(np.repeat(grey[..., None], 3, axis=2))
    draw = ImageDraw.Draw(picture)
    radius, middle = 5.0 * _TILE / (2 * _HALF), _TILE / 2
    draw.ellipse([middle - radius, middle - radius, middle + radius, middle + radius], outline=(255, 210, 0), width=2)
    draw.text((8, 6), name, fill=(255, 255, 255))
    return picture


def measured() -> dict[str, Any]:
    """A row a sequence; draws the picture too."""
    found = examination(datasets.path("prostatex"))
    tiles, columns = [tile(found, name) for name in found.names], 4
    sheet = Pillow.new("RGB", (columns * _TILE, -(-len(tiles) // columns) * _TILE))
    for number, picture in enumerate(tiles):
        sheet.paste(picture, (number % columns * _TILE, number // columns * _TILE))
    folder = store.WORK / "prostate_finding"
    folder.mkdir(parents=True, exist_ok=True)
    sheet.save(folder / "prostate_finding.png")
    rows = []
    for name in found.names:
        channel = found.channel(name)
        place = FINDING if channel.transform is None else np.array(channel.transform.TransformPoint(FINDING.tolist()))
        used = channel.registration is not None and channel.registration.used
        moved = float(np.linalg.norm(place - FINDING))
        rows.append({"sequence": name, "to": channel.registered_to, "used": used, "moved_mm": moved})
    return {"sequences": rows, "refused": [f"{entry.path}: {entry.reason}" for entry in found.refused]}


def figures(units: driver.Rows) -> Mapping[str, Any]:
    done = units["ProstateX-0000"]
    lines = [
        [row["sequence"], row["to"] or "–", "yes" if row["used"] else "no", f"{row['moved_mm']:.1f}"] for row in done["sequences"]
    ]
    head = ["sequence", "registered to", "used", "moved there, mm"]
    return {"table": table(head, lines), "refused": "; ".join(done["refused"]) or "none"}


BENCHMARK = driver.Benchmark("prostate_finding", __doc__, lambda options: [driver.Unit("ProstateX-0000", measured)], figures)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
