"""An archive with a film and an MR from DICOM, a picture that is not, and recorded results of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from casewise import formats
from casewise.archive import Archive
from casewise.image import Box, Image
from tests import dicom_studies
from tests.dicom_studies import Series


@dataclass(eq=False)
class Clinic:
    """film, mr, picture : keys of images. series : the first two's by key."""

    archive: Archive
    film: str
    mr: str
    picture: str
    series: dict[str, Series]

    def analyse(self, key: str, probability: float = 0.81, job: int = 1, **more: Any) -> None:
        """Record a result: one finding with its mask, one without, and what was not found. more : of the finding with a mask."""
        image = self.archive.case(key).image
        mask = np.zeros(image.spatial_shape, bool)
        mask[tuple(slice(3, 9) for _ in mask.shape)] = True
        folder = self.archive.folder / "results" / key / str(job)
        folder.mkdir(parents=True, exist_ok=True)
        path = formats.write_mask(folder / f"nodule{formats.mask_suffix(image)}", mask.astype(np.uint8), image)
        box = Box((3,) * mask.ndim, (9,) * mask.ndim)
        finding = {
            "application": "nodules",
            "label": "nodule",
            "kind": "finding",
            "probability": probability,
            "region": "right lung",
            "box": box.to_json(),
            "mask": path.relative_to(self.archive.folder).as_posix(),
            "map": None,
            "measures": {"diameter_mm": 12.5},
            "scores": {},
        }
        other = {**finding, "label": "effusion", "box": None, "mask": None, "measures": {}, "probability": 0.6}
        document: dict[str, Any] = {
            "image": "film",
            "headline": "2 findings: nodule, effusion",
            "findings": [{**finding, **more}, {**other, **dict.fromkeys(more)}],
            "looked_for": [],
            "notes": [],
            "summary": {"not_looked_for": "", "failed": [], "model": "No model"},
            "job": job,
            "created": 1.0,
        }
        self.archive.record_result(document, key)


def clinic(archive: Archive, folder: Path) -> Clinic:
    """``folder`` : where the given files are written."""
    film = dicom_studies.film(folder / "film", rows=96, columns=80)
    mr = dicom_studies.oblique_mr(folder / "mr", 12, rows=32, columns=40)
    formats.write(folder / "picture.png", Image(np.random.default_rng(0).integers(0, 255, (1, 40, 40)).astype(np.uint8)))
    keys = [archive.import_paths([place]).keys[0] for place in (film.folder, mr.folder, folder / "picture.png")]
    return Clinic(archive, *keys, series={keys[0]: film, keys[1]: mr})
