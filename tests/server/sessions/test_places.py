"""The voxel drawn is the voxel saved, whatever way an image lies and whatever file it comes from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import UltrasoundMultiFrameImageStorage

from casewise.archive import Archive
from casewise.demo.dicom import write_dicom
from casewise.formats import read, write
from casewise.header import Header
from casewise.image import Image
from tests.formats.synthetic import instance
from tests.server.sessions.annotators import Annotator

People = Callable[[str], Annotator]
ANGLE = 0.35
OBLIQUE = np.array(
    [
        [0.8 * np.cos(ANGLE), -1.1 * np.sin(ANGLE), 0.3, -20.0],
        [0.8 * np.sin(ANGLE), 1.1 * np.cos(ANGLE), -0.2, 15.0],
        [-0.25, 0.1, 2.5, 40.0],
        [0, 0, 0, 1],
    ]
)
LAID = {
    "as it is": np.diag([1.0, 1.0, 1.0, 1.0]),
    "flipped": np.array([[0, -1, 0, 9], [-1, 0, 0, 4], [0, 0, -1, 30], [0, 0, 0, 1.0]]),
    "left-handed": np.diag([-1.0, 1.0, 1.0, 1.0]),
    "oblique": OBLIQUE,
    "anisotropic": np.diag([0.5, 0.5, 6.0, 1.0]),
    "sagittal": np.array([[0, 0, 4, -9], [1, 0, 0, 4], [0, -1, 0, 30], [0, 0, 0, 1.0]]),
}


def drawn_and_saved(archive: Archive, annotator: People, key: str, shape: tuple[int, ...]) -> tuple[set[tuple[int, ...]], str]:
    """One voxel marked in each corner region and the middle; returns them and the mask's label."""
    anna = annotator("anna")
    anna.open(key, "thing", shape)
    marks = [tuple(n // 2 for n in shape), tuple(1 for _ in shape), tuple(n - 2 for n in shape)]
    apart = tuple(n - 2 if axis == 0 else 1 for axis, n in enumerate(shape))
    anna.order("box", box=[[0, n] for n in shape])
    anna.draw([marks[0]])
    anna.draw(marks[1:])
    anna.draw([apart], "background")
    for place in marks:
        assert anna.mask[place]
    assert not anna.mask[apart]
    answer = anna.client.post(f"{anna.url}/accept", json={}).json()
    mask = archive.case(key).load_masks["thing"]()
    assert (mask == anna.mask).all() and (anna.stored() == mask).all()
    return set(marks), answer["structures"][0]


@pytest.mark.parametrize("lay", LAID)
def test_in_a_volume_whichever_way_it_lies(archive: Archive, annotator: People, tmp_path: Path, lay: str) -> None:
    SimpleITK = pytest.importorskip("SimpleITK")
    array = np.random.default_rng(0).normal(300, 40, (24, 20, 10)).astype(np.int16)
    write(tmp_path / "image.nii.gz", Image(array[None], LAID[lay]))
    key = archive.add(tmp_path / "image.nii.gz")
    drawn_and_saved(archive, annotator, key, array.shape)
    (label,) = archive.labels(key)
    saved = archive.folder / str(label["path"])
    image = read(tmp_path / "image.nii.gz")
    assert np.allclose(read(saved).affine, image.affine, atol=1e-4)
    mask = archive.case(key).load_masks["thing"]()
    if lay == "oblique":
        return  # sheared a little, which ITK refuses
    seen = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(saved))).T
    original = SimpleITK.ReadImage(str(tmp_path / "image.nii.gz"))
    assert (seen == mask).all() and original.GetSize() == seen.shape


def test_in_a_picture(archive: Archive, annotator: People, tmp_path: Path) -> None:
    write(tmp_path / "a.png", Image(np.random.default_rng(0).integers(0, 255, (1, 60, 50)).astype(np.uint8)))
    key = archive.add(tmp_path / "a.png")
    drawn_and_saved(archive, annotator, key, (60, 50))
    (label,) = archive.labels(key)
    assert (read(archive.folder / str(label["path"])).array[0] > 0).sum() == archive.case(key).load_masks["thing"]().sum()


def test_in_a_film_of_sixteen_bits(archive: Archive, annotator: People, tmp_path: Path) -> None:
    """2500×3000 pixels, its rows stored from the patient's left to the right."""
    rng = np.random.default_rng(0)
    small = rng.normal(2000, 300, (250, 300))
    array = np.kron(small, np.ones((10, 10))).astype(np.uint16)
    header = Header(modality="CR", directions=("R", "F"), spacing_known=True)
    write_dicom(tmp_path / "film.dcm", Image(array[None], np.diag([0.14, 0.14, 1, 1]), header), "p1")
    archive.import_paths([tmp_path / "film.dcm"])
    (record,) = archive.images()
    drawn_and_saved(archive, annotator, record.key, (2500, 3000))


def test_in_a_loop(archive: Archive, annotator: People, tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (5, 40, 36)).astype(np.uint8)
    instance(tmp_path / "loop.dcm", frames, UltrasoundMultiFrameImageStorage, NumberOfFrames=5, Modality="US", FrameTime=30)
    key = archive.add(tmp_path / "loop.dcm")
    assert archive.case(key).image.is_loop
    drawn_and_saved(archive, annotator, key, (40, 36, 5))
