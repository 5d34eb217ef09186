"""Files and folders of several images: what their errors advise is what an import does."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import SimpleITK
import tifffile

from casewise.archive import Archive
from casewise.errors import UnreadableImageError
from casewise.formats import read
from tests.dicom_studies import ct


@pytest.mark.parametrize(
    ("kind", "count"), [("NIfTI", 3), ("a long NIfTI", 65), ("NRRD", 3), ("TIFF", 2), ("HDF5", 2), ("DICOM series", 2)]
)
def test_a_file_of_several_images_says_truly_whether_an_import_takes_each(tmp_path: Path, kind: str, count: int) -> None:
    voxels = np.random.default_rng(0).integers(0, 99, (5, 6, 4, count)).astype(np.int16)
    (tmp_path / "d").mkdir()
    path = tmp_path / "d" / "a"
    if kind == "DICOM series":
        path = path.parent
        for number in range(count):
            for file in ct(tmp_path / str(number), 3).files:
                shutil.copyfile(file, path / f"{number}-{file.name}")
    elif kind == "HDF5":
        with h5py.File(path, "w") as file:
            for number in range(count):
                file[f"phase{number}"] = voxels[..., number]
    elif kind == "TIFF":
        tifffile.imwrite(path, voxels[:, :, 0].transpose(2, 0, 1).astype(np.uint8), photometric="minisblack")
    elif kind == "NRRD":
        path = path.with_suffix(".nrrd")
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(voxels.T, isVector=False), path)
    else:
        path = path.with_suffix(".nii.gz")
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), path)
    with pytest.raises(UnreadableImageError, match=f"holds {count}") as caught:
        read(path)
    with Archive.open(tmp_path / "archive", create=True) as archive:
        added = archive.import_paths([tmp_path / "d"]).added
    assert added == (0 if kind in ("NRRD", "a long NIfTI") else count)
    assert ("which takes each" in str(caught.value)) == (added == count)
    assert "in Python, name it by member=" in str(caught.value)
