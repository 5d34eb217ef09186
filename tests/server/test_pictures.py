"""Pictures of masks: thumbnails that display one, and the right-handed copy that the three-dimensional view takes."""

from __future__ import annotations

import io
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image as Pillow

from casewise.archive import Archive
from casewise.image import Image
from casewise.server.services import Services
from tests.server.people import in_browser

SHAPE = (40, 50, 20)
LEFT_HANDED = np.diag([-2.0, 2.0, 3.0, 1.0])  # its first axis runs to the patient's left: LAS


def _mask() -> npt.NDArray[np.bool_]:
    mask = np.zeros(SHAPE, bool)
    mask[4:12, 30:45, 3:6] = True  # small, off the middle slice
    return mask


@pytest.fixture
def key(app: FastAPI, tmp_path: Path) -> str:
    """A left-handed volume with a mask."""
    shared: Services = app.state.services
    rng = np.random.default_rng(0)
    image = Image(rng.integers(0, 200, (1, *SHAPE)).astype(np.int16), LEFT_HANDED)
    added: Archive = shared.archive
    path = tmp_path / "head.nii.gz"
    nib.save(nib.Nifti1Image(image.array[0], image.affine), path)
    return added.add(path, {"tumour": _mask()})


def _picture(client: TestClient, key: str, **query: str) -> npt.NDArray[np.float32]:
    answer = client.get(f"/api/v1/cases/{key}/thumbnail", params=query)
    assert answer.status_code == 200
    return np.asarray(Pillow.open(io.BytesIO(answer.content)).convert("RGB"), np.float32)


def test_a_thumbnail_displays_the_slice_with_the_mask_and_the_mask_in_its_place(app: FastAPI, key: str) -> None:
    client = in_browser(app)
    with_mask, without = _picture(client, key, structure="tumour"), _picture(client, key)
    amber = with_mask[..., 0] - with_mask[..., 2] > 30
    assert not (without[..., 0] != without[..., 2]).any()
    rows, columns = np.nonzero(amber)
    height, width = amber.shape
    # The patient's left is on the screen's right. Axis 0 runs to the left: voxels 4 to 11 of 40 lie at the screen's left.
    assert columns.min() / width == pytest.approx(4 / 40, abs=0.03)
    assert (columns.max() + 1) / width == pytest.approx(12 / 40, abs=0.03)
    # Axis 1 runs to the front, which is on top.
    assert rows.min() / height == pytest.approx(1 - 45 / 50, abs=0.03)
    assert (rows.max() + 1) / height == pytest.approx(1 - 30 / 50, abs=0.03)


def test_a_corrected_mask_is_displayed_at_once(app: FastAPI, key: str) -> None:
    client = in_browser(app)
    before = client.get(f"/api/v1/cases/{key}/thumbnail", params={"structure": "tumour"})
    shared: Services = app.state.services
    moved = np.roll(_mask(), 10, axis=0)
    shared.archive.add_masks(key, shared.archive.case(key).image, {"tumour": moved})
    known = {"If-None-Match": before.headers["etag"]}
    after = client.get(f"/api/v1/cases/{key}/thumbnail", params={"structure": "tumour"}, headers=known)
    assert after.status_code == 200
    assert after.content != before.content


def test_a_mask_that_is_not_there_leaves_the_thumbnail_as_it_is(app: FastAPI, key: str) -> None:
    client = in_browser(app)
    np.testing.assert_array_equal(_picture(client, key, structure="../../x"), _picture(client, key))


def test_the_right_handed_copy_of_a_mask_lies_on_that_of_its_image(app: FastAPI, key: str, tmp_path: Path) -> None:
    client = in_browser(app)
    copies = {}
    for name, query in {"image": {}, "mask": {"mask": "tumour"}}.items():
        answer = client.get(f"/api/v1/cases/{key}/nifti", params=query)
        assert answer.status_code == 200
        path = tmp_path / f"{name}.nii.gz"
        path.write_bytes(answer.content)
        copies[name] = nib.load(path)
    np.testing.assert_allclose(copies["mask"].affine, copies["image"].affine)
    assert np.linalg.det(copies["mask"].affine) > 0
    mine = np.argwhere(_mask()).mean(axis=0)
    theirs = np.argwhere(np.asarray(copies["mask"].dataobj) > 0).mean(axis=0)
    np.testing.assert_allclose(
        nib.affines.apply_affine(copies["mask"].affine, theirs), nib.affines.apply_affine(LEFT_HANDED, mine), atol=1e-3
    )
    assert client.get(f"/api/v1/cases/{key}/nifti", params={"mask": "none"}).status_code == 404
