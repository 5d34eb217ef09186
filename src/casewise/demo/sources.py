"""The real images of the demonstration: they lie inside installed packages; SOURCES.md has their licences."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError
from casewise.header import Header
from casewise.image import Image

Map = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Template:
    """The MNI152 head (2009a, symmetric, brain only) at 1 mm, and how much of each voxel is which tissue.

    image : (1, 197, 233, 189) float32 in 0…1, T1-weighted; its axes run to the patient's right, anterior and superior.
    tissues : ``grey_matter`` and ``white_matter`` → (197, 233, 189) float32 in 0…1 on the same grid.
    """

    image: Image
    tissues: dict[str, Map]


@cache
def template() -> Template:
    """The MNI152 average of 152 adults with its tissue maps, as nilearn carries it. Raises CasewiseError without nilearn."""
    try:
        from nilearn import datasets
    except ImportError as error:
        msg = "The demonstration's images come with nilearn, which is not installed; run: pip install 'casewise[demo]'."
        raise CasewiseError(msg) from error
    t1 = datasets.load_mni152_template(resolution=1)
    tissues = {
        "grey_matter": datasets.load_mni152_gm_template(resolution=1),
        "white_matter": datasets.load_mni152_wm_template(resolution=1),
    }
    header = Header(modality="MR", sequence="T1", body_part="HEAD")
    return Template(
        Image(_float(t1)[None], np.asarray(t1.affine, np.float64), header),
        {name: _float(tissue) for name, tissue in tissues.items()},
    )


def others() -> list[Path]:
    """Unchanged real files of other kinds: a CT and two MR in DICOM, a colour ultrasound in DICOM, an MR volume in NIfTI."""
    from nibabel.testing import data_path
    from pydicom.data import get_testdata_file

    files = [Path(data_path) / "anatomical.nii"]
    for name in ("CT_small.dcm", "MR_small.dcm", "examples_overlay.dcm", "examples_rgb_color.dcm"):
        found = get_testdata_file(name, download=False)
        files += [Path(str(found))] if found else []
    return [file for file in files if file.is_file()]


@dataclass(frozen=True)
class Real:
    """An unchanged real file. category : what it shows, as a folder of such images would be called."""

    name: str
    path: Path
    category: str


def for_pages() -> list[Real]:
    """Real files to look at in the server's pages: an MR and a CT in DICOM, a loop of an ultrasound, a colour photograph."""
    import skimage
    from pydicom.data import get_testdata_file

    dicom = (
        ("abdomen-mr", "examples_overlay.dcm", "abdomen-mr"),
        ("head-ct", "J2K_pixelrep_mismatch.dcm", "head-ct"),
        ("heart-loop", "examples_ybr_color.dcm", "heart-ultrasound"),
    )
    found = [(name, get_testdata_file(file, download=False), category) for name, file, category in dicom]
    real = [Real(name, Path(str(path)), category) for name, path, category in found if path]
    real.append(Real("retina", Path(skimage.__file__).parent / "data" / "retina.jpg", "retina-photograph"))
    return [one for one in real if one.path.is_file()]


def _float(image: object) -> Map:
    return np.asarray(image.get_fdata(dtype=np.float32))  # type: ignore[attr-defined]
