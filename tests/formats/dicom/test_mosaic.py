"""Siemens mosaics: every voxel of every tile lies where the header says, or the mosaic is refused by what it does not state."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from casewise.errors import CasewiseError, UnreadableImageError
from casewise.formats import Found, read, scan
from casewise.formats.dicom.origin import origin
from tests.formats.synthetic import LPS_TO_RAS, Plan, instance, numbers

TILE = (6, 4)
MR = "1.2.840.10008.5.1.4.1.1.4"


def csa(**tags: object) -> bytes:
    """A Siemens header (CSA2) of a few tags."""
    parts = [b"SV10\4\3\2\1", struct.pack("<II", len(tags), 77)]
    for name, value in tags.items():
        items = [f"{x}".encode() for x in (value if isinstance(value, (list, tuple, np.ndarray)) else [value])]
        kind = {"NumberOfImagesInMosaic": b"US", "AcquisitionMatrixText": b"SH"}.get(name, b"FD")
        parts.append(struct.pack("<64si4siii", name.encode(), len(items), kind, 0, len(items), 77))
        for item in items:
            held = item + b"\0" * (-len(item) % 4)
            parts += [struct.pack("<4i", len(item), len(item), 77, len(item)), held]
    return b"".join(parts)


def mosaic(
    path: Path, plan: Plan, count: int, sign: float = 1, *, private: bool = True, header: object = ..., **tags: object
) -> Path:
    """Tile k holds the values 100 · k + row + 10 · column; ``sign``: whether slices follow along or against the normal."""
    across = int(np.ceil(np.sqrt(count)))
    picture = np.zeros((across * TILE[0], across * TILE[1]), np.uint16)
    tile = np.arange(TILE[0])[:, None] + 10 * np.arange(TILE[1])[None]
    for k in range(count):
        row, column = divmod(k, across)
        picture[row * TILE[0] : (row + 1) * TILE[0], column * TILE[1] : (column + 1) * TILE[1]] = tile + 100 * k
    # The whole picture's corner, if its centre were where the first slice's is.
    margin = (np.array(picture.shape) - TILE) / 2 * plan.spacing
    corner = plan.origin - margin[0] * plan.down - margin[1] * plan.right
    normal = sign * np.cross(plan.right, plan.down)
    said = csa(NumberOfImagesInMosaic=count, SliceNormalVector=normal, AcquisitionMatrixText="6p*4") if header is ... else header
    about = {
        "Modality": "MR",
        "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"],
        "ImagePositionPatient": numbers(corner),
        "ImageOrientationPatient": numbers([*plan.right, *plan.down]),
        "PixelSpacing": numbers(plan.spacing),
        "SpacingBetweenSlices": plan.gap,
    }
    instance(path, picture, MR, **{**about, **tags})
    from pydicom import dcmread

    dataset = dcmread(path)
    if private:
        dataset.add_new(0x00190010, "LO", "SIEMENS MR HEADER")
        dataset.add_new(0x0019100A, "US", count)
    if said is not None:
        dataset.add_new(0x00290010, "LO", "SIEMENS CSA HEADER")
        dataset.add_new(0x00291010, "OB", said)
    dataset.save_as(path)
    return path


PLANS = {
    "axial": Plan(),
    "coronal": Plan((1, 0, 0), (0, 0, -1)),
    "sagittal": Plan((0, 1, 0), (0, 0, -1)),
    "oblique": Plan((0.8, 0.6, 0), (-0.36, 0.48, -0.8), origin=(90.0, -40.0, 12.0)),
}


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("count", [4, 7, 9, 10])
@pytest.mark.parametrize("name", PLANS)
def test_every_voxel_lies_where_its_slice_does(tmp_path: Path, name: str, count: int, sign: int) -> None:
    plan = PLANS[name]
    image = read(mosaic(tmp_path / "m.dcm", plan, count, sign))
    assert image.array.shape == (1, *TILE, count)
    assert image.spacing == pytest.approx((*plan.spacing, plan.gap))
    step = sign * plan.gap * np.cross(plan.right, plan.down)
    for index in np.ndindex(image.spatial_shape):
        value = int(image.array[(0, *index)])
        tile, row, column = value // 100, value % 10, value % 100 // 10
        lps = plan.origin + tile * step + row * plan.spacing[0] * plan.down + column * plan.spacing[1] * plan.right
        np.testing.assert_allclose((image.affine @ [*index, 1])[:3], LPS_TO_RAS @ lps, atol=1e-4)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_peer_puts_the_same_values_at_the_same_places(tmp_path: Path, sign: int) -> None:
    from nibabel.nicom import dicomwrappers as peer

    path = mosaic(tmp_path / "m.dcm", PLANS["oblique"], 7, sign)
    image, theirs = read(path), peer.wrapper_from_file(str(path))
    data, affine = theirs.get_data(), np.diag([-1, -1, 1, 1]) @ theirs.affine
    places = {int(data[index]): (affine @ [*index, 1])[:3] for index in np.ndindex(data.shape)}
    for index in np.ndindex(image.spatial_shape):
        np.testing.assert_allclose((image.affine @ [*index, 1])[:3], places[int(image.array[(0, *index)])], atol=1e-4)


def test_the_siemens_header_alone_is_enough(tmp_path: Path) -> None:
    said = csa(NumberOfImagesInMosaic=7, SliceNormalVector=[0, 0, 1], SpacingBetweenSlices=2.5)
    image = read(mosaic(tmp_path / "m.dcm", Plan(), 7, private=False, header=said, SpacingBetweenSlices=None))
    assert image.array.shape == (1, *TILE, 7)
    assert image.spacing[2] == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"private": False, "header": csa(SliceNormalVector=[0, 0, 1])}, "how many slices"),
        ({"header": csa(NumberOfImagesInMosaic=5, SliceNormalVector=[0, 0, 1])}, "how many slices"),
        ({"header": None}, "to which side"),
        ({"header": csa(NumberOfImagesInMosaic=7, SliceNormalVector=[1, 0, 0])}, "to which side"),
        ({"header": b"SV10\4\3\2\1\xff\xff\xff\xff damaged"}, "to which side"),
        ({"SpacingBetweenSlices": None}, "how far its slices are apart"),
        ({"SpacingBetweenSlices": 0}, "how far its slices are apart"),
        ({"PixelSpacing": None}, "where it lies"),
    ],
)
def test_what_is_not_stated_is_refused_by_name(tmp_path: Path, changes, reason: str) -> None:
    path = mosaic(tmp_path / "m.dcm", Plan(), 7, **changes)
    with pytest.raises(UnreadableImageError, match=rf"m\.dcm is a Siemens mosaic that does not state {reason}"):
        read(path)


def test_tiles_that_do_not_fill_the_picture_are_refused(tmp_path: Path) -> None:
    path = mosaic(tmp_path / "m.dcm", Plan(), 4)
    from pydicom import dcmread

    dataset = dcmread(path)
    dataset[0x0019100A].value = 25
    dataset[0x00291010].value = csa(NumberOfImagesInMosaic=25, SliceNormalVector=[0, 0, 1])
    dataset.save_as(path)
    with pytest.raises(UnreadableImageError, match="5×5 tiles do not fill"):
        read(path)


def test_volumes_of_a_run_stay_apart_and_no_object_refers_to_a_tile(tmp_path: Path) -> None:
    for time in range(3):
        mosaic(tmp_path / f"{time}.dcm", Plan(), 4, InstanceNumber=time)
    results = [result for result in scan(tmp_path) if isinstance(result, Found)]
    assert [result.path.name for result in results] == ["0.dcm", "1.dcm", "2.dcm"]
    assert read(tmp_path / "0.dcm", "frame=2").array.min() == 200
    with pytest.raises(CasewiseError, match="mosaic"):
        origin(read(tmp_path / "1.dcm"))


@pytest.mark.shared
def test_reported_mosaic(shared_data: Path) -> None:
    image = read(shared_data / "bug-reports" / "dicom" / "mosaic.dcm")
    assert image.array.shape == (1, 64, 64, 36)
    assert image.spacing == pytest.approx((3.203, 3.203, 3.6), abs=1e-3)
    np.testing.assert_allclose((image.affine @ [0, 0, 0, 1])[:3], (102.5, 128.9, -48.6), atol=0.05)
    np.testing.assert_allclose((image.affine @ [63, 0, 0, 1])[:3], (102.5, -71.4, -73.6), atol=0.05)
