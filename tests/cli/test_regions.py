"""``casewise regions``: masks on the image's grid in its own kind of file, remarks, and pictures that are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.uid import DigitalXRayImageStorageForPresentation as DX_STORAGE

from casewise import formats
from casewise.chest.region import NAMES
from casewise.image import Box
from tests.cli.conftest import Call
from tests.formats.synthetic import instance

FILM = "montgomery/images/MCUCXR_0094_0.png"


def test_masks_boxes_and_refusals(call: Call, shared_data: Path, tmp_path: Path) -> None:
    hand = sorted((shared_data / "mednist" / "Hand").iterdir())[3]
    film = shared_data / FILM
    done = call("regions", film, hand, film, "--output", tmp_path / "out", "--json")
    assert done.code == 1
    assert hand.name in done.err and "No frontal view of the lungs" in done.err and "Traceback" not in done.err
    first, second = done.document
    assert first["image"] == str(film) and first["remarks"] == []
    assert [entry["name"] for entry in first["regions"]] == list(NAMES)
    image = formats.read(film)
    for entry, again in zip(first["regions"], second["regions"], strict=True):
        assert entry["mask"].endswith(".png") and entry["mask"] != again["mask"]
        mask = formats.read_mask(entry["mask"], image)
        assert Box.around(mask).to_json() == entry["box"] == again["box"]


def test_dicom_masks_are_nifti_on_its_grid(call: Call, shared_data: Path, tmp_path: Path) -> None:
    array = formats.read(shared_data / FILM).array[0]
    path = instance(tmp_path / "a.dcm", (255 - array).astype(np.uint16), DX_STORAGE, Modality="DX", PixelSpacing=["0.7", "0.7"])
    done = call("regions", path, "--output", tmp_path / "out", "--json")
    assert done.code == 0
    (document,) = done.document
    assert [remark["flag"] for remark in document["remarks"]] == ["inverted"]
    segmentation = dcmread(document["segmentation"])
    assert [segment.SegmentLabel for segment in segmentation.SegmentSequence] == [entry["name"] for entry in document["regions"]]
    for entry in document["regions"]:
        assert entry["mask"].endswith(".nii.gz")
        assert Box.around(formats.read_mask(entry["mask"], formats.read(path))).to_json() == entry["box"]


def test_a_person_reads_files_and_notes(call: Call, shared_data: Path, tmp_path: Path) -> None:
    done = call("regions", shared_data / FILM, "--output", tmp_path)
    assert done.code == 0 and "right lung: " in done.out and "note" not in done.out
    assert len(list(tmp_path.glob("*.png"))) == len(NAMES)


def test_no_image_at_all(call: Call, tmp_path: Path) -> None:
    done = call("regions", tmp_path / "none.png", "--output", tmp_path, "--json")
    assert done.code == 1 and done.document == [] and "none.png" in done.sentence
