"""The network sees the same voxels whether an image comes from a file, from memory or out of an archive."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from casewise import formats
from casewise.archive import Archive
from casewise.image import Image
from casewise.models import Model
from tests.models.nnunet.small import written


def test_an_array_in_memory_is_seen_as_its_file_and_as_the_archive_holds_it(tmp_path: Path) -> None:
    model = Model.load(written(tmp_path))
    array = np.random.default_rng(0).normal(100, 20, (17, 20, 24)).astype(np.float32)
    affine = np.diag([1.5, 1, 1.25, 1])
    nib.save(nib.Nifti1Image(array, affine), tmp_path / "a.nii.gz")
    expected = model.predict(formats.read(tmp_path / "a.nii.gz"), device="cpu").mask
    assert 0 < expected.mean() < 1
    in_memory = Image(array[None], affine)
    np.testing.assert_array_equal(model.predict(in_memory, device="cpu").mask, expected)
    with Archive.open(tmp_path / "archive", create=True) as archive:
        archive.add(in_memory)
        (case,) = archive.cases()
        np.testing.assert_array_equal(model.predict(case.image, device="cpu").mask, expected)
