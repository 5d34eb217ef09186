"""What the PACS of these tests has: four studies of two patients, and a series in a compressed transfer syntax."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.dicom_studies import Series, ct, film, study
from tests.orthanc import Orthanc
from tests.programs import missing
from tests.waiting import SECONDS

TITLE = "CASEWISE"


@dataclass(frozen=True)
class Held:
    """now : of three series. before : an earlier CT of the same patient. earliest : a film. other : a CT of another patient."""

    now: list[Series]
    before: Series
    earliest: Series
    other: Series

    @property
    def files(self) -> list[Path]:
        return [path for series in (*self.now, self.before, self.earliest, self.other) for path in series.files]


def fill(pacs: Orthanc, folder: Path) -> Held:
    now = study(folder / "now", AccessionNumber="A1", StudyDate="20240229", SeriesDescription="Thorax nüchtern")
    before = ct(folder / "before", 5, AccessionNumber="A2", StudyDate="20230101")
    earliest = film(folder / "earliest", rows=60, columns=50, AccessionNumber="A3", StudyDate="20220101")
    other = ct(folder / "other", 4, AccessionNumber="B1", StudyDate="20230501", PatientID="HOSP-4712", PatientName="Else")
    compress(now[2].files[0])
    held = Held(now, before, earliest, other)
    pacs.add(*held.files)
    return held


def compress(path: Path) -> None:
    """JPEG lossless, in the file's place."""
    if shutil.which("dcmcjpeg") is None:
        missing("dcmcjpeg (Debian's dcmtk)")
    subprocess.run(["dcmcjpeg", "+e1", "+un", str(path), str(path)], check=True, timeout=SECONDS)
