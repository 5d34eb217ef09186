"""``similar`` finds one film in every format and pose that it can be stored in."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from PIL import Image as Pillow

from casewise import formats
from casewise.archive import Archive
from casewise.chest.upright import UprightEncoder
from casewise.models.shipped import default_encoder
from tests.formats.synthetic import instance

FOLDER = "bug-reports/chest-orientation"


@pytest.fixture(scope="module")
def encoder() -> UprightEncoder:
    return UprightEncoder(default_encoder("cpu"), "cpu")


@pytest.fixture(scope="module")
def archive(shared_data: Path, tmp_path_factory: pytest.TempPathFactory, encoder: UprightEncoder) -> Archive:
    """Three films, the one looked for among them."""
    made = Archive.open(tmp_path_factory.mktemp("films") / "archive", create=True)
    others = sorted((shared_data / "shenzhen" / "images").iterdir())[:2]
    made.import_paths([shared_data / FOLDER / "ref.png", *others], encoder=encoder)
    return made


def test_one_film_is_found_whatever_it_is_stored_as(
    archive: Archive, encoder: UprightEncoder, shared_data: Path, tmp_path: Path
) -> None:
    film = np.asarray(Pillow.open(shared_data / FOLDER / "ref.png"))
    paths = [shared_data / FOLDER / name for name in ("sitk2d.mha", "sitk2d.nrrd", "sitk3d1.mha", "xy_lps.nii.gz")]
    for name, stored in (("a.jpg", film), ("a.tif", film), ("transposed.png", film.T), ("turned.png", np.rot90(film))):
        Pillow.fromarray(np.ascontiguousarray(stored)).save(tmp_path / name)
        paths.append(tmp_path / name)
    nib.save(nib.Nifti1Image(film, np.eye(4)), tmp_path / "rows-first.nii.gz")
    nib.save(nib.Nifti1Image(film[:, None], np.eye(4)), tmp_path / "middle.nii.gz")
    instance(tmp_path / "a.dcm", film.astype(np.uint16), Modality="DX")
    instance(tmp_path / "m.dcm", film[:, ::-1].astype(np.uint16), Modality="DX", PatientOrientation=["R", "F"])
    paths += [tmp_path / name for name in ("rows-first.nii.gz", "middle.nii.gz", "a.dcm", "m.dcm")]
    for path in paths:
        first, second, _ = archive.similar(formats.read(path), k=3, encoder=encoder)
        assert Path(first.image).name == "ref.png" and first.score > 0.99, path.name
        assert second.score < 0.9


def test_a_region_is_the_same_place_in_another_format(
    archive: Archive, encoder: UprightEncoder, shared_data: Path, tmp_path: Path
) -> None:
    image = formats.read(shared_data / FOLDER / "sitk2d.mha")
    region = (formats.read(shared_data / FOLDER / "truth-left_lung.png").array[0] > 127).T
    first, *_ = archive.similar(image, k=3, by=("latent",), encoder=encoder, region=region)
    assert Path(first.image).name == "ref.png" and first.score > 0.99


def test_a_mask_of_an_itk_picture_is_drawn_where_it_lies(tmp_path: Path) -> None:
    """A picture that counts along a row first is displayed, with what is drawn on it, as it was saved."""
    from casewise.reporting.planes import planes

    film = np.zeros((20, 30), np.uint8)
    film[3, 7:25] = 200
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(film), str(tmp_path / "a.mha"))
    image = formats.read(tmp_path / "a.mha")
    (plane,) = planes(image)
    assert np.array_equal(plane.cut(image.array[0]), film)
